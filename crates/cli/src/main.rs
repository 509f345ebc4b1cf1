//! The one binary: `scrubjay serve`, and the tools.

fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(3).and_then(|port| port.parse().ok()).unwrap_or(6379);
    let server = scrubjay_server::Server::start(scrubjay_server::Settings { address: ([127, 0, 0, 1], port).into() })?;
    println!("ready on {}", server.address);
    loop {
        std::thread::park();
    }
}
