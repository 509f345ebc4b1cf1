//! What the tests need beside Rust: fetched when it can be, named when it cannot.
//!
//! Programs come from Debian; the client libraries come from PyPI and npm, at the versions that `tests/clients/` pins,
//! into folders under `target/`. A folder is made once; a change of the pins makes it anew.

use crate::process::{self, command, is_installed};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// A program, and the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("redis-benchmark", "redis-tools"),
    ("python3", "python3"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// Makes sure that every program is there, by Debian's packages where this user may install them.
pub(crate) fn programs() -> anyhow::Result<()> {
    install(PROGRAMS)
}

/// Makes sure that memcached is there: the benchmark's peer.
pub(crate) fn memcached() -> anyhow::Result<()> {
    install(&[("memcached", "memcached"), ("redis-server", "redis-server")])
}

/// Makes sure that redis-server is there: what the shared tier is measured against.
pub(crate) fn redis_server() -> anyhow::Result<()> {
    install(&[("redis-server", "redis-server")])
}

fn install(programs: &[(&str, &str)]) -> anyhow::Result<()> {
    let mut packages: Vec<&str> =
        programs.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    apt_get(&packages).with_context(|| format!("these are missing; install them by hand: {}", packages.join(" ")))
}

fn apt_get(packages: &[&str]) -> anyhow::Result<()> {
    if !is_installed("apt-get") {
        bail!("there is no apt-get here");
    }
    let is_root = process::output(command("id").arg("-u"))?.trim() == "0";
    let words: &[&str] = match is_root {
        true => &["env"],
        false if is_installed("sudo") => &["sudo", "-n", "env"],
        false => bail!("neither root nor sudo"),
    };
    let apt = |arguments: &[&str]| {
        let mut apt = command(words[0]);
        apt.args(&words[1..])
            .args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-q", "-y"])
            .args(arguments);
        // RUNLEVEL keeps the packages' own services off: the tests start what they need on ports of their own.
        process::run(&mut apt)
    };
    let install = [&["install", "--no-install-recommends"], packages].concat();
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
}

/// A Python with redis-py. Returns its interpreter.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    let folder = process::root().join("target/clients/python");
    let pins = process::root().join("tests/clients/requirements.txt");
    let interpreter = folder.join("bin/python");
    make(&folder, &pins, || {
        if process::run(command("python3").args(["-m", "venv"]).arg(&folder)).is_err() {
            apt_get(&["python3-venv"]).context("python3 has no venv module; install python3-venv by hand")?;
            process::run(command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        }
        let mut pip = command(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&pins);
        process::run(&mut pip).context("redis-py comes from PyPI")
    })?;
    Ok(interpreter)
}

/// A folder of node modules with ioredis and node-redis.
pub(crate) fn node_modules() -> anyhow::Result<PathBuf> {
    let folder = process::root().join("target/clients/node");
    let pins = process::root().join("tests/clients/package-lock.json");
    make(&folder, &pins, || {
        for file in ["package.json", "package-lock.json"] {
            std::fs::copy(process::root().join("tests/clients").join(file), folder.join(file))?;
        }
        let mut npm = command("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
        process::run(&mut npm).context("ioredis and node-redis come from npm")
    })?;
    Ok(folder.join("node_modules"))
}

/// Fills `folder` by `fill` unless it was filled from the same `pins` before.
fn make(folder: &Path, pins: &Path, fill: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let wanted = std::fs::read(pins).with_context(|| pins.display().to_string())?;
    let made_from = folder.join("made-from");
    if std::fs::read(&made_from).is_ok_and(|made| made == wanted) {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    fill()?;
    Ok(std::fs::write(made_from, wanted)?)
}
