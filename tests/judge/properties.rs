//! Properties that hold for any evidence.
