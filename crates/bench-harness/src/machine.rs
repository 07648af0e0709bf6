//! The machine's fingerprint: figures mean something only beside the machine they come from.

use std::fs;
use std::path::Path;
use std::process::Command;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::placement::allowed_cpus;

/// What decides how fast things are here. A field that can't be read is empty or `None`, never guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// CPUs online.
    pub cpus: usize,
    /// The CPUs we may use.
    pub allowed: Vec<usize>,
    /// Hardware threads per core; above 1 means SMT.
    pub threads_per_core: Option<usize>,
    /// Caches of the first CPU, as `L2 1024K`.
    pub caches: Vec<String>,
    /// Memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Kernel and its version.
    pub kernel: String,
    /// Mitigations in force, as `spectre_v2: Mitigation: Retpolines`; those not affected are left out.
    pub mitigations: Vec<String>,
    /// The frequency governor, where there is one.
    pub governor: Option<String>,
    /// The hypervisor, where the CPU says there is one.
    pub hypervisor: Option<String>,
    /// The compiler of the contenders.
    pub toolchain: Option<String>,
    /// Why hardware counters are absent; `None` when they are there.
    #[serde(default)]
    pub hardware_counters_missing: Option<String>,
}

impl Machine {
    /// Reads what `/proc`, `/sys` and the compiler say.
    pub fn read() -> Self {
        let cpuinfo = text("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let flags = field("flags").unwrap_or_default();
        Self {
            cpu: field("model name").unwrap_or_default(),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            allowed: allowed_cpus().unwrap_or_default(),
            threads_per_core: threads_per_core(),
            caches: caches(),
            memory_bytes: memory_bytes(),
            kernel: format!("Linux {}", text("/proc/sys/kernel/osrelease").trim()),
            mitigations: mitigations(),
            governor: non_empty(&text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
            hypervisor: flags.split(' ').any(|flag| flag == "hypervisor").then(hypervisor),
            toolchain: toolchain(),
            hardware_counters_missing: None,
        }
    }

    /// One line for the top of a report.
    pub fn line(&self) -> String {
        let smt = match self.threads_per_core {
            Some(1) => ", no SMT".to_owned(),
            Some(threads) => format!(", {threads} threads a core"),
            None => String::new(),
        };
        let plural = if self.cpus == 1 { "" } else { "s" };
        let virtual_machine = if self.hypervisor.is_some() { " · virtual machine" } else { "" };
        format!("{} · {} CPU{plural}{smt} · {}{virtual_machine}", self.cpu, self.cpus, self.kernel)
    }
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn non_empty(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn threads_per_core() -> Option<usize> {
    let siblings = non_empty(&text("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list"))?;
    // "0", "0,4" or "0-1".
    siblings.split(',').try_fold(0, |sum, part| match part.split_once('-') {
        Some((first, last)) => Some(sum + last.parse::<usize>().ok()? - first.parse::<usize>().ok()? + 1),
        None => Some(sum + 1),
    })
}

fn caches() -> Vec<String> {
    let index = |number: usize| {
        let folder = format!("/sys/devices/system/cpu/cpu0/cache/index{number}");
        let read = |name: &str| non_empty(&text(format!("{folder}/{name}")));
        let kind = match read("type")?.as_str() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        Some(format!("L{}{kind} {}", read("level")?, read("size")?))
    };
    (0..8).map_while(index).collect()
}

fn memory_bytes() -> Option<u64> {
    let info = text("/proc/meminfo");
    let kib: u64 =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn mitigations() -> Vec<String> {
    let Ok(folder) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else { return Vec::new() };
    let mut lines: Vec<String> = folder
        .filter_map(Result::ok)
        .map(|entry| format!("{}: {}", entry.file_name().to_string_lossy(), text(entry.path()).trim()))
        .filter(|line| !line.ends_with("Not affected"))
        .collect();
    lines.sort_unstable();
    lines
}

fn hypervisor() -> String {
    let product = text("/sys/class/dmi/id/sys_vendor");
    non_empty(&product).unwrap_or_else(|| "unnamed".to_owned())
}

fn toolchain() -> Option<String> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("--version").output().ok()?;
    non_empty(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_name_and_at_least_one_cpu() {
        let machine = Machine::read();
        assert!(machine.cpus >= 1 && !machine.allowed.is_empty(), "{machine:?}");
        assert!(machine.kernel.starts_with("Linux ") && machine.kernel.len() > 6, "{machine:?}");
        assert!(machine.line().contains("CPU"), "{}", machine.line());
    }
}
