//! The one binary: `scrubjay serve`, and the tools.

fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(3).unwrap_or("6379".into());
    let config = scrubjay_server::Config::with([("port", port.as_str())])?;
    let server = scrubjay_server::Server::start(config)?;
    println!("ready on {}", server.address);
    loop {
        std::thread::park();
    }
}
