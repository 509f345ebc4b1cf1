//! What the operating system knows of this process: resident memory, CPU time. Read from `/proc`; what cannot be read is 0.

use std::time::Duration;

/// Resident memory in bytes.
pub(super) fn resident_bytes() -> u64 {
    let [_, resident, _] = memory_pages();
    resident.saturating_mul(page_bytes())
}

/// Resident memory that is not backed by a file, in bytes: what the program has allocated and touched.
pub(super) fn private_bytes() -> u64 {
    let [_, resident, shared] = memory_pages();
    resident.saturating_sub(shared).saturating_mul(page_bytes())
}

/// Size, resident and shared pages.
fn memory_pages() -> [u64; 3] {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = statm.split_whitespace().map(|pages| pages.parse().unwrap_or(0));
    std::array::from_fn(|_| pages.next().unwrap_or(0))
}

fn page_bytes() -> u64 {
    u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}

/// Bytes of memory that the machine has.
pub(super) fn system_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

/// CPU time of a process or thread: in the program and in the system on its behalf.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

/// CPU time of the whole process.
pub(super) fn cpu_time() -> CpuTime {
    cpu_time_of("/proc/self/stat")
}

/// CPU time of the first thread.
pub(super) fn main_thread_cpu_time() -> CpuTime {
    cpu_time_of(&format!("/proc/self/task/{}/stat", std::process::id()))
}

fn cpu_time_of(path: &str) -> CpuTime {
    parse_stat(&std::fs::read_to_string(path).unwrap_or_default(), rustix::param::clock_ticks_per_second())
}

/// Fields 14 and 15 of `stat`; the second one, the name, is in parentheses and may hold anything.
pub(super) fn parse_stat(stat: &str, ticks_per_second: u64) -> CpuTime {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = behind_name.split_whitespace().skip(11).map(|ticks| ticks.parse::<u64>().unwrap_or(0));
    let mut next = || {
        let nanos = u128::from(ticks.next().unwrap_or(0)) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    };
    CpuTime { user: next(), system: next() }
}

/// `Linux 6.1.0 x86_64`.
pub(super) fn operating_system() -> String {
    let name = rustix::system::uname();
    [name.sysname(), name.release(), name.machine()].map(|part| part.to_string_lossy().into_owned()).join(" ")
}
