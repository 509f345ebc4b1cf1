//! The one binary: `scrubjay serve`, and the tools.

fn main() -> anyhow::Result<()> {
    let port = std::env::args().nth(3).unwrap_or("6379".into());
    let threads = std::env::args().nth(5).unwrap_or("0".into());
    let config = scrubjay_server::Config::with([("port", port.as_str()), ("threads", threads.as_str())])?;
    let server = scrubjay_server::Server::start(config)?;
    server.stop_on_signals()?;
    println!("ready on {:?}", server.address());
    Ok(server.wait()?)
}
