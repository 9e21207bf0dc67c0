//! `outpost service`: the agent as a Windows service. On Linux the packages contain a systemd unit.

use clap::Subcommand;

use super::failure::Failure;
use super::load::ConfigArgs;
use super::run::MakeBundle;

#[cfg(windows)]
mod event_log;
mod install_args;
#[cfg(windows)]
mod manager;
#[cfg(windows)]
mod running;

use install_args::InstallArgs;

/// Installs the agent as a Windows service, removes it, and shows its state
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost service install --client-code acme")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Creates the service and its folders, and starts it if the configuration is valid; run it again after an upgrade
    #[command(
        after_help = "Example:\n  outpost service install --client-code acme --token-file C:\\secrets\\target.token"
    )]
    Install(InstallArgs),
    /// Stops the service and removes it; the data stays
    #[command(after_help = "Example:\n  outpost service uninstall")]
    Uninstall,
    /// Shows whether the service is installed and running
    #[command(after_help = "Example:\n  outpost service status")]
    Status,
    /// Started by the service manager
    #[command(hide = true)]
    Run,
}

/// Returns true if a service starts the agent with the device.
#[cfg(windows)]
pub(super) fn is_installed() -> bool {
    manager::is_installed()
}

/// Returns true if a service starts the agent with the device.
#[cfg(not(windows))]
pub(super) fn is_installed() -> bool {
    const UNITS: [&str; 3] = [
        "/etc/systemd/system/outpost.service",
        "/usr/lib/systemd/system/outpost.service",
        "/lib/systemd/system/outpost.service",
    ];
    UNITS.iter().any(|path| std::path::Path::new(path).exists())
}

#[cfg(windows)]
pub(super) fn run(args: Args, make_bundle: MakeBundle) -> Result<(), Failure> {
    match args.action {
        Action::Install(install) => manager::install(&args.config, &install),
        Action::Uninstall => manager::uninstall(),
        Action::Status => manager::status(),
        Action::Run => running::run(args.config, make_bundle),
    }
}

#[cfg(not(windows))]
pub(super) fn run(args: Args, _: MakeBundle) -> Result<(), Failure> {
    let Args { config: _, action } = args;
    let instead = match action {
        Action::Install(InstallArgs { client_code: _, endpoint: _, token_file: _ }) => "enable --now",
        Action::Uninstall => "disable --now",
        Action::Status | Action::Run => "status",
    };
    Err(Failure::because(format!(
        "this works only on Windows; on Linux the package has a systemd unit: `systemctl {instead} outpost`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    #[test]
    fn what_an_installer_was_given_is_a_drop_in_file() {
        let args = |client_code: &str, token_file: &str| InstallArgs {
            client_code: client_code.to_owned(),
            endpoint: String::new(),
            token_file: token_file.to_owned(),
        };
        assert_eq!(args("", "").drop_in(), "");
        let text = args("acme", r"C:\secrets\a.token").drop_in();
        assert!(
            text.ends_with("[target]\nclient_code = \"acme\"\ntoken = { file = \"C:\\\\secrets\\\\a.token\" }\n"),
            "{text}"
        );
        let sources = Sources::of_text(std::path::Path::new("10-install.toml"), &args("ac\"me\n", "").drop_in());
        let problems = Config::parse(&sources, |_| String::new()).expect_err("it is no client code").to_string();
        assert!(problems.starts_with("10-install.toml:3:15: client_code in [target] must be letters"), "{problems}");
    }
}
