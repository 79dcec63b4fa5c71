//! A load program: n connections publish, at full speed or paced, and every acknowledgement is timed.
//!
//! It must stay cheap: it shares the machine with what it measures. One thread drives all its connections, messages are
//! made by patching a template, and a socket is read and written in large pieces (one packet a message when paced).

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

mod load {
    pub mod args;
    pub mod connection;
    pub mod cpu;
    pub mod drive;
    pub mod histogram;
    pub mod report;
    pub mod template;
    pub mod verify;
}

use load::args::Args;
use load::cpu::Cpu;
use load::drive;
use load::report::Report;
use load::verify::Topic;

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    args.check()?;
    let topic = args.verify().map(|(brokers, topic)| Topic::open(brokers, topic)).transpose()?;
    let before = args.pid.map(Cpu::of).transpose()?;
    let stats = drive::run(&args)?;
    let verified = topic.map(|topic| topic.grown_by(stats.taken())).transpose()?;
    // After the last record is in Kafka: work that was put off counts too.
    let cpu = match (args.pid, before) {
        (Some(pid), Some(before)) => Some(Cpu::of(pid)?.since(before)),
        _ => None,
    };
    let report = Report { stats, cpu, verified };
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    Ok(if report.complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
