//! Compiles the sample plugin `plugins/site-tags` to a component, which the binary carries for `serve --dev`.
//!
//! It has a target folder of its own below `OUT_DIR`: the outer cargo holds the lock of the usual one while this runs.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";

/// What the outer build sets for the host's platform, and what must not reach a build for another one.
const NOT_INHERITED: &[&str] = &[
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

fn main() {
    let host = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let Some(workspace) = host.parent() else { fail("the package `host` is expected inside the workspace") };
    let watched = [
        "Cargo.lock",
        "Cargo.toml",
        "plugins/site-tags/Cargo.toml",
        "plugins/site-tags/src",
        "sdk/rust/Cargo.toml",
        "sdk/rust/src",
        "wit",
    ];
    for path in watched {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    let component = compile(workspace, &PathBuf::from(variable("OUT_DIR")).join("plugins"));
    println!("cargo::rustc-env=MILLSTREAM_SITE_TAGS={}", component.display());
}

fn compile(workspace: &Path, target_folder: &Path) -> PathBuf {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(workspace).args(["build", "--package", "site-tags", "--profile", "plugin", "--target", TARGET]);
    cargo.arg("--target-dir").arg(target_folder);
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    let output = match cargo.output() {
        Ok(output) => output,
        Err(error) => fail(&format!("cargo cannot be run: {error}")),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let hint = if said.contains("target may not be installed") {
            format!("\nThe target {TARGET} is missing; `rustup target add {TARGET}` installs it.")
        } else {
            String::new()
        };
        fail(&format!("the sample plugin plugins/site-tags does not build:\n{said}{hint}"));
    }
    let component = target_folder.join(TARGET).join("plugin/site_tags.wasm");
    if !component.is_file() {
        fail(&format!("the build of plugins/site-tags left no {}", component.display()));
    }
    component
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| fail(&format!("cargo sets {name} for build scripts, but it is not set")))
}

/// Says why, in a way that cargo shows, and ends.
fn fail(why: &str) -> ! {
    for line in why.lines() {
        println!("cargo::error={line}");
    }
    std::process::exit(1)
}
