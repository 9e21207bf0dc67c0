//! Installing, removing and showing the service, with its folders and their permissions.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use windows_service::Error;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl, ServiceFailureActions,
    ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState, ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use super::event_log::SOURCE;
use super::install_args::InstallArgs;
use crate::cli::failure::{Failure, chain};
use crate::cli::load::ConfigArgs;
use crate::cli::output::{print, warn};
use crate::config::{default_data_dir, default_path};
use crate::core::limits::STOP_TIMEOUT;

/// Name of the service.
pub(super) const NAME: &str = "Outpost";

/// Account of the service, with no more rights than any user. Windows creates it with the service.
const ACCOUNT: &str = r"NT SERVICE\Outpost";

/// The system and its administrators, by identifiers that are the same in every language.
const OWNERS: [&str; 2] = ["*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"];

/// The error codes of a missing and of an existing service. Source: winerror.h, `ERROR_SERVICE_DOES_NOT_EXIST` and
/// `ERROR_SERVICE_EXISTS`.
const DOES_NOT_EXIST: i32 = 1060;
const EXISTS: i32 = 1073;

/// Delays of restarts after a failure; the last one applies to all further ones. Nobody is there to start it.
const RESTARTS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(60)];

/// Time between two checks that a service has stopped.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Initial configuration.
const CONFIGURATION: &str = include_str!("../../../packaging/windows/agent.toml");

/// Creates the service, or updates an existing one.
pub(super) fn install(config: &ConfigArgs, args: &InstallArgs) -> Result<(), Failure> {
    refuse_foreign_places()?;
    make_folders(args)?;
    let failed = |error: Error| Failure::because(format!("the service cannot be installed: {}", chain(&error)));
    let manager = ServiceManager::local_computer(
        None::<&str>,
        ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE,
    )
    .map_err(as_administrator)?;
    let info = service_info()?;
    let service = match manager.create_service(&info, ServiceAccess::ALL_ACCESS) {
        Err(error) if code(&error) == Some(EXISTS) => {
            let service = manager.open_service(NAME, ServiceAccess::ALL_ACCESS).map_err(failed)?;
            service.change_config(&info).map_err(failed)?;
            service
        }
        created => created.map_err(failed)?,
    };
    improve(&service);
    protect_folders()?;
    match config.load() {
        Ok(_) => {
            if service.query_status().map_err(failed)?.current_state == ServiceState::Stopped {
                service.start::<OsString>(&[]).map_err(|error| {
                    let error = chain(&error);
                    Failure::because(format!(
                        "the service is installed and does not start: {error}; the event log says why, and \
                         `sc start {NAME}` tries again"
                    ))
                })?;
            }
            print("the service is installed and starts with the device")
        }
        Err(failure) => {
            warn(&failure.message);
            print(&format!(
                "the service is installed; put the client code in {}, then run `sc start {NAME}`",
                drop_in(INSTALLED).display()
            ))
        }
    }
}

/// Describes the service as installed: it starts with the device, under its own account.
fn service_info() -> Result<ServiceInfo, Failure> {
    Ok(ServiceInfo {
        name: OsString::from(NAME),
        display_name: OsString::from(NAME),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: std::env::current_exe().map_err(|error| Failure::failed(&error))?,
        launch_arguments: ["service", "run", "-c"]
            .map(OsString::from)
            .into_iter()
            .chain([default_path().into()])
            .collect(),
        dependencies: Vec::new(),
        account_name: Some(OsString::from(ACCOUNT)),
        account_password: None,
    })
}

/// Sets optional improvements, which older versions of Windows may not support.
fn improve(service: &Service) {
    let restart = |delay| ServiceAction { action_type: ServiceActionType::Restart, delay };
    let recovery = ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(Duration::from_secs(86_400)),
        reboot_msg: None,
        command: None,
        actions: Some(RESTARTS.map(restart).to_vec()),
    };
    let wishes = [
        ("description", service.set_description("Records customer events and forwards them to Adobe Target")),
        ("recovery", service.update_failure_actions(recovery)),
        ("recovery from errors", service.set_failure_actions_on_non_crash_failures(true)),
        ("shutdown", service.set_preshutdown_timeout(STOP_TIMEOUT)),
    ];
    for (wish, result) in wishes {
        if let Err(error) = result {
            warn(&format!("the service's {wish} could not be set: {}", chain(&error)));
        }
    }
    if let Err(error) = eventlog::register(SOURCE) {
        warn(&format!("the event log shows entries without their words: {}", chain(&error)));
    }
}

/// Stops the service and removes it. The data stays.
pub(super) fn uninstall() -> Result<(), Failure> {
    let failed = |error: Error| Failure::because(format!("the service cannot be removed: {}", chain(&error)));
    let Some(service) = open(ServiceAccess::QUERY_STATUS | ServiceAccess::STOP | ServiceAccess::DELETE)? else {
        return print("the service is not installed");
    };
    if service.query_status().map_err(failed)?.current_state != ServiceState::Stopped {
        service.stop().map_err(failed)?;
        let begun = Instant::now();
        while service.query_status().map_err(failed)?.current_state != ServiceState::Stopped {
            if begun.elapsed() > 2 * STOP_TIMEOUT {
                return Err(Failure::because("the service does not stop; end its process, and try again"));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }
    service.delete().map_err(failed)?;
    // Without it old entries lose their text, and nothing else.
    let _ = eventlog::deregister(SOURCE);
    print(&format!("the service is removed; the data in {} stays", default_data_dir().display()))
}

/// Shows whether the service is installed and running; fails if not.
pub(super) fn status() -> Result<(), Failure> {
    match state()? {
        None => Err(Failure::because("the service is not installed; run `outpost service install`")),
        Some((ServiceState::Running, pid)) => {
            print(&format!("the service runs, as process {}", pid.unwrap_or_default()))
        }
        Some((state, _)) => Err(Failure::because(format!(
            "the service is installed and does not run: {state:?}; the event log says why, and `sc start {NAME}` starts it"
        ))),
    }
}

/// Returns the state of the service, if it is installed.
fn state() -> Result<Option<(ServiceState, Option<u32>)>, Failure> {
    let Some(service) = open(ServiceAccess::QUERY_STATUS)? else { return Ok(None) };
    let status = service.query_status().map_err(|error| Failure::failed(&error))?;
    Ok(Some((status.current_state, status.process_id)))
}

/// Returns true if the service is installed.
pub(super) fn is_installed() -> bool {
    matches!(state(), Ok(Some(_)))
}

fn open(access: ServiceAccess) -> Result<Option<Service>, Failure> {
    let manager =
        ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT).map_err(as_administrator)?;
    match manager.open_service(NAME, access) {
        Err(error) if code(&error) == Some(DOES_NOT_EXIST) => Ok(None),
        opened => opened.map(Some).map_err(as_administrator),
    }
}

fn as_administrator(error: Error) -> Failure {
    Failure::because(format!("the service manager refuses; run this as an administrator: {}", chain(&error)))
}

fn code(error: &Error) -> Option<i32> {
    match error {
        Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}

/// Name of the drop-in file that an installation writes.
const INSTALLED: &str = "10-install.toml";

fn drop_in(name: &str) -> PathBuf {
    default_path().with_extension("d").join(name)
}

/// Creates the folders, a configuration if there is none, and the drop-in file with the given options.
fn make_folders(args: &InstallArgs) -> Result<(), Failure> {
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::because(format!("{} cannot be made; run this as an administrator: {error}", path.display()))
    };
    let (config, installed) = (default_path(), drop_in(INSTALLED));
    for dir in [installed.parent().expect("a drop-in file has a folder"), &default_data_dir()] {
        std::fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    }
    if !config.exists() {
        // Written down, because a service may not have the environment of its installer. A JSON string is also one of
        // TOML.
        let data_dir = serde_json::Value::from(default_data_dir().to_string_lossy());
        let text = format!("{CONFIGURATION}\n[agent]\ndata_dir = {data_dir}\n");
        std::fs::write(&config, text).map_err(|error| failed(&config, &error))?;
    }
    let text = args.drop_in();
    if !text.is_empty() {
        std::fs::write(&installed, text).map_err(|error| failed(&installed, &error))?;
    }
    Ok(())
}

/// Hides the folders from users of the device: the service may read its configuration and write its data.
fn protect_folders() -> Result<(), Failure> {
    let config = default_path();
    let home = config.parent().expect("the configuration has a folder");
    let read = format!("{ACCOUNT}:(OI)(CI)RX");
    let write = format!("{ACCOUNT}:(OI)(CI)M");
    grant(home, &[OWNERS[0], OWNERS[1], &read])?;
    grant(&default_data_dir(), &[OWNERS[0], OWNERS[1], &write])
}

/// Owners that existing folders and files may have: the system and its administrators. Source: well-known security
/// identifiers.
const TRUSTED_OWNERS: [&str; 2] = ["S-1-5-18", "S-1-5-32-544"];

/// Script that prints the owner of the path in a variable, as an identifier, or fails. PowerShell comes with every
/// Windows.
const SAY_OWNER: &str = "$ErrorActionPreference = 'Stop'; (Get-Acl -LiteralPath $env:OUTPOST_PATH).GetOwner(\
                         [System.Security.Principal.SecurityIdentifier]).Value";

/// Refuses folders that another user has created in the places of Outpost: anybody may create folders in
/// `%ProgramData%`, and the owner of a folder may change its content, whatever permissions it gets.
fn refuse_foreign_places() -> Result<(), Failure> {
    let (config, drop_ins) = (default_path(), drop_in(INSTALLED));
    let home = config.parent().expect("the configuration has a folder");
    let drop_ins = drop_ins.parent().expect("a drop-in file has a folder");
    for path in [home, config.as_path(), drop_ins, &default_data_dir()] {
        let Ok(found) = path.symlink_metadata() else { continue };
        if std::os::windows::fs::MetadataExt::file_attributes(&found) & REPARSE_POINT != 0 {
            return Err(Failure::because(format!(
                "{} leads elsewhere: it is not trusted; see who made it, remove it, and install again",
                path.display()
            )));
        }
        refuse_foreign(path)?;
    }
    Ok(())
}

/// Marks a file that leads elsewhere, such as a junction. Source: `FILE_ATTRIBUTE_REPARSE_POINT` of Windows.
const REPARSE_POINT: u32 = 0x400;

fn refuse_foreign(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    // By its full path: the first one on the search path may be somebody else's.
    let system = std::env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from);
    let mut command = Command::new(system.join(r"System32\WindowsPowerShell\v1.0\powershell.exe"));
    let output =
        command.args(["-NoProfile", "-NonInteractive", "-Command", SAY_OWNER]).env("OUTPOST_PATH", path).output();
    let owner = match &output {
        Ok(output) if !output.status.success() => "somebody who hides it".to_owned(),
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => String::new(),
    };
    if owner.is_empty() {
        // Without PowerShell the owner is unknown.
        warn(&format!("PowerShell does not say who owns {shown}; it must be an administrator"));
    } else if !TRUSTED_OWNERS.contains(&owner.as_str()) {
        return Err(Failure::because(format!(
            "{shown} was there before, and belongs to {owner}, who is no administrator: it is not trusted; look at what is in \
             it, remove it, and install again"
        )));
    }
    Ok(())
}

/// Grants these permissions and no others. `icacls` comes with every Windows.
fn grant(dir: &Path, rights: &[&str]) -> Result<(), Failure> {
    let output = Command::new("icacls").arg(dir).args(["/inheritance:r", "/grant:r"]).args(rights).arg("/q").output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(Failure::because(format!(
            "the rights of {} could not be set: {}",
            dir.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
        Err(error) => Err(Failure::because(format!("icacls cannot be run: {error}"))),
    }
}
