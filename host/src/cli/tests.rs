//! The command line from outside: what it takes, and how it ends.

use clap::CommandFactory;

use super::*;
use crate::config::Loader;
use crate::config::check::Unchecked;

fn exit(arguments: &[&str]) -> Exit {
    run(["millstream"].iter().chain(arguments).map(OsString::from))
}

#[test]
fn the_commands_fit_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_help_has_an_example() {
    fn visit(command: &mut clap::Command, path: &str) {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example"), "{path} --help has no example:\n{help}");
        for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
            let path = format!("{path} {}", inner.get_name());
            visit(inner, &path);
        }
    }
    let mut command = Cli::command();
    command.build();
    visit(&mut command, "millstream");
}

#[test]
fn exit_codes() {
    for (arguments, expected) in [
        (&["--version"][..], Exit::Fine),
        (&["serve", "--help"], Exit::Fine),
        (&[], Exit::Usage),
        (&["srve"], Exit::Usage),
        (&["serve", "--dev", "--config", "x"], Exit::Usage),
        (&["sql", "test"], Exit::Usage),
        (&["sql", "explain"], Exit::Usage),
        (&["sql", "explain", "--sql", "SELECT a FROM t"], Exit::Fine),
        (&["sql", "explain", "--json", "--sql", "SELECT a FROM"], Exit::Failed),
        (&["sql", "functions"], Exit::Fine),
        (&["sql", "functions", "--json"], Exit::Fine),
        (&["sql", "functions", "jq"], Exit::Fine),
        (&["sql", "functions", "topic", "--json"], Exit::Fine),
        (&["sql", "functions", "substring"], Exit::Failed),
        (&["sql", "test", "--stdin", "--event", "x"], Exit::Usage),
        (&["check", "no-such-folder/no-such-file.toml"], Exit::Failed),
        (&["serve", "--config", "no-such-folder/no-such-file.toml"], Exit::Failed),
        (&["plugin", "inspect", "no-such-folder/no-such-file.wasm"], Exit::Failed),
        (&["plugin", "test", "no-such-folder/no-such-file.wasm", "--cases", "x"], Exit::Failed),
        (&["plugin", "test", "x.wasm"], Exit::Usage),
        // The tests' working directory is the package's folder, which has none.
        (&["serve"], Exit::Usage),
    ] {
        assert_eq!(exit(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn the_dev_configuration_is_right() {
    let config = dev::loader("127.0.0.1:29092").load(&mut Unchecked).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, []);
    assert_eq!(config.rules["dev"].actions, ["to-testtopic-in"]);
    assert_eq!(config.actions["to-testtopic-in"].parameters.topic, dev::TOPIC);
    assert_eq!(config.connectors["dev"].bootstrap_hosts, "127.0.0.1:29092");
    assert_eq!(config.api.map(|api| api.bind).as_deref(), Some("127.0.0.1:18083"));
    assert!(config.listeners["tcp"].bind.ip().is_loopback());
}

#[test]
fn the_dev_configuration_is_right_as_it_is_written() {
    // Somebody will copy it to a file.
    let config = Loader::text("dev.toml", dev::TEXT).load(&mut Unchecked).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings, []);
}
