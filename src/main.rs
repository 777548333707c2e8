//! The binary: everything is in the library.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A quarter of a probe's CPU time was malloc and free of the system's allocator (docs/cost.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    stagewatch::cli::main()
}
