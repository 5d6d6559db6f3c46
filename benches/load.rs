//! The real server under more than it can do, against itself at rest: how long an agent's check-in, a single change
//! and liveness take. Quiet phases and phases under load take turns over one database, so that a busy machine hits
//! both.
//!
//! Under load: ten slow questions, 4,096 idle connections, jobs for 8,000 hosts that don't answer, 500 revocations.
//! The server, PostgreSQL, Vault, and who makes the load are processes of their own.
//!
//! `cargo bench --bench load`; `LOAD_S=5` shortens a phase, `LOAD_ROUNDS=1` the turns, `LOAD_CERTS=20000` the
//! inventory. `LOAD_QUESTIONS=0`, `LOAD_IDLE=0`, `LOAD_JOBS=0` or `LOAD_REVOCATIONS=0` leaves a part of the load out,
//! which tells what each of them costs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench says what it measured, may panic, and keeps a pace"
)]

#[path = "load/crowd.rs"]
mod crowd;
#[path = "support/filled.rs"]
mod filled;
#[path = "load/platform.rs"]
mod platform;
#[path = "../tests/support/postgres.rs"]
mod postgres;
#[path = "load/probes.rs"]
mod probes;
#[path = "support/server.rs"]
mod server;
#[path = "support/times.rs"]
mod times;
#[path = "../tests/support/vault.rs"]
mod vault;
#[path = "support/vault_process.rs"]
mod vault_process;

use std::sync::Arc;
use std::time::Duration;

use platform::{Crowd, Platform};
use probes::{Probe, Took, request};
use server::Server;

/// Length of a measured phase, in seconds.
const PHASE_S: usize = 15;
/// Turns of a quiet phase and one under load.
const ROUNDS: usize = 4;
/// The inventory.
const CERTS: usize = 100_000;
/// A server that was just started is at rest then.
const SETTLES: Duration = Duration::from_secs(3);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["vault"] => vault_process::play(),
        ["crowd", server, token, n_idle, n_questions] => crowd::main(
            server.parse().unwrap(),
            token,
            n_idle.parse().unwrap(),
            n_questions.parse().unwrap(),
        ),
        // `cargo test` runs benches too, once and without measuring.
        _ if arguments.iter().any(|argument| argument == "--bench") => measure(),
        _ => {}
    }
}

/// A number from the environment.
fn setting(name: &str, otherwise: usize) -> usize {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

fn measure() {
    let (phase, rounds) = (setting("LOAD_S", PHASE_S), setting("LOAD_ROUNDS", ROUNDS));
    let phase = Duration::from_secs(phase as u64);
    let Some(platform) = Platform::fill(setting("LOAD_CERTS", CERTS), rounds) else {
        return;
    };
    let mut all: Vec<[Took; 2]> = Vec::new();
    for round in 0..rounds {
        for (load, under) in [false, true].into_iter().enumerate() {
            let server = platform.serve(under);
            let crowd = under.then(|| Crowd::gather(&server));
            std::thread::sleep(SETTLES);
            let probes = probes(&platform, &server);
            let asking: Vec<_> = probes
                .into_iter()
                .map(|probe| {
                    // Numbers that no other phase has.
                    let first = (2 * round + load) * 100_000;
                    std::thread::spawn(move || (probe.name, probe.ask(first, phase)))
                })
                .collect();
            let left = platform.revocations_left();
            let took: Vec<(&str, Took)> = asking.into_iter().map(|it| it.join().unwrap()).collect();
            if let Some(crowd) = crowd {
                let after = platform.revocations_left();
                println!(
                    "round {}: {}; {left} revocations due at first, {after} at the end",
                    round + 1,
                    crowd.go()
                );
            }
            server.stop();
            all.resize_with(took.len(), Default::default);
            for ((name, took), all) in took.into_iter().zip(&mut all) {
                println!(
                    "round {}, {}: {name}: {:.2?} at p50, {:.2?} at p99, of {}",
                    round + 1,
                    if under { "under load" } else { "quiet" },
                    took.times.at(50),
                    took.times.at(99),
                    took.times.len()
                );
                all[load].add(took);
            }
        }
    }
    println!();
    for (name, [quiet, load]) in NAMES.into_iter().zip(&all) {
        let ratio = |percent| load.times.at(percent).as_secs_f64() / quiet.times.at(percent).as_secs_f64();
        println!(
            "{name}: quiet {:.2?} at p50, {:.2?} at p99; under load {:.2?}, {:.2?}; {:.2} and {:.2} times as long; {} \
             of {} failed",
            quiet.times.at(50),
            quiet.times.at(99),
            load.times.at(50),
            load.times.at(99),
            ratio(50),
            ratio(99),
            quiet.wrong.len() + load.wrong.len(),
            quiet.times.len() + load.times.len(),
        );
        for words in quiet.wrong.iter().chain(&load.wrong).take(5) {
            println!("    {words}");
        }
    }
}

const NAMES: [&str; 4] = ["check-in", "change", "liveness", "liveness at the API"];

fn probes(platform: &Platform, server: &Server) -> Vec<Probe> {
    let id = |n: usize| format!("agt_01k{n:023}");
    let (api, admin) = (server.api.clone(), platform::TOKEN);
    let reports = Arc::clone(&platform.reports);
    let healthz = |_| request("GET /healthz", "", "", "");
    vec![
        Probe {
            name: NAMES[0],
            address: api.clone(),
            every: Duration::from_millis(50),
            request: Box::new(move |n| {
                let n = n % reports.len();
                let line = format!("POST /api/v1/agents/{}/report", id(n + 1));
                request(&line, &format!("cmp_agent_{}", n + 1), "", &reports[n])
            }),
        },
        // The next one is banned, and then let in again.
        Probe {
            name: NAMES[1],
            address: api.clone(),
            every: Duration::from_millis(70),
            request: Box::new(move |n| {
                let verb = if n % 2 == 0 { "ban" } else { "unban" };
                let line = format!("POST /api/v1/agents/{}/{verb}", id(8201 + n / 2 % 10));
                request(&line, admin, &format!("idempotency-key: load-{n}\r\n"), "{}")
            }),
        },
        Probe {
            name: NAMES[2],
            address: server.health.clone(),
            every: Duration::from_millis(50),
            request: Box::new(healthz),
        },
        Probe {
            name: NAMES[3],
            address: api,
            every: Duration::from_millis(50),
            request: Box::new(healthz),
        },
    ]
}
