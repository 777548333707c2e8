//! The probe room against real servers on loopback, most of them faulty on purpose. Rows F… are those of the fault matrix.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod probe {
    mod support;

    mod connections;
    mod dns_faults;
    mod event_streams;
    mod http_faults;
    mod phases;
    mod proxies;
    mod redaction;
    mod session_faults;
    mod sessions;
    mod tls_faults;
    mod tokens;
    mod upgrade_faults;
}
