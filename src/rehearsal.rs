//! The rehearsal staging: speaks the intended contract on loopback, with faults that can be switched.
