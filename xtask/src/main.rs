//! The project's chores: `cargo xtask test`, `ci`, `tidy`, `bench`.

fn main() {}
