//! Options of installing the service.

use clap::ValueHint;

/// The content of `agent.d/10-install.toml`; empty options are left out, as an installer passes them.
#[derive(Debug, clap::Args)]
pub(super) struct InstallArgs {
    /// The client code
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) client_code: String,
    /// Scheme and host for updates, instead of Target's own
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) endpoint: String,
    /// The file with Target's token
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, default_value = "", hide_default_value = true)]
    pub(super) token_file: String,
}

#[cfg(any(windows, test))]
impl InstallArgs {
    /// Returns the drop-in file; empty if no option was given.
    pub(super) fn drop_in(&self) -> String {
        // A JSON string is also one of TOML.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let token = format!("{{ file = {} }}", quoted(&self.token_file));
        let lines = [
            ("client_code", quoted(&self.client_code), self.client_code.is_empty()),
            ("endpoint", quoted(&self.endpoint), self.endpoint.is_empty()),
            ("token", token, self.token_file.is_empty()),
        ];
        let mut text = String::new();
        for (key, value, _) in lines.iter().filter(|(.., is_empty)| !is_empty) {
            if text.is_empty() {
                text.push_str("# Written by `outpost service install`, and again by the next one.\n[target]\n");
            }
            text.push_str(&format!("{key} = {value}\n"));
        }
        text
    }
}
