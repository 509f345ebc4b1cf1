//! The benchmark's program: everything is in the library beside it, which the program of the footprint shares.

fn main() -> anyhow::Result<()> {
    scrubjay_bench::run()
}
