//! The brokers that are measured, each in a process of its own that ends with its guard.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use support::millstream::{Millstream, NODE};
use support::process::Process;
use support::resources::resident;
use support::scratch::Scratch;

use super::cpu::Cpu;
use super::mosquitto;

/// A running broker.
pub struct Broker {
    pub name: &'static str,
    pub address: SocketAddr,
    process: Guard,
}

enum Guard {
    Millstream(Box<Millstream>),
    Mosquitto(Process, #[expect(dead_code, reason = "its folder lives as long as it does")] Scratch),
}

/// The front alone, with room for what is measured.
pub fn millstream() -> Result<Broker> {
    let host = Millstream::start(&format!("{NODE}\n[mqtt]\nmax_subscriptions = 200000\n"));
    Ok(Broker { name: "millstream", address: host.tcp(), process: Guard::Millstream(Box::new(host)) })
}

pub fn mosquitto() -> Result<Broker> {
    let (process, scratch, address) = mosquitto::start()?;
    Ok(Broker { name: "mosquitto", address, process: Guard::Mosquitto(process, scratch) })
}

impl Broker {
    fn id(&self) -> u32 {
        match &self.process {
            Guard::Millstream(host) => host.id(),
            Guard::Mosquitto(process, _) => process.id(),
        }
    }

    pub fn resident(&self) -> u64 {
        resident(self.id())
    }

    pub fn cpu(&self) -> Result<Cpu> {
        Cpu::of(self.id())
    }

    /// CPU time since `before`, for each of `n`, in microseconds.
    pub fn micros_each(&self, before: Cpu, n: usize) -> Result<f64> {
        let spent: Duration = self.cpu()?.since(before);
        Ok(spent.as_secs_f64() * 1e6 / n as f64)
    }
}
