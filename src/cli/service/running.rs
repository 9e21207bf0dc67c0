//! The agent under the service manager: reports its state, and receives the orders to stop and to reload.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::mpsc;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{self, ServiceControlHandlerResult, ServiceStatusHandle};
use windows_service::{define_windows_service, service_dispatcher};

use super::event_log::EventLog;
use super::manager::NAME;
use crate::cli::failure::Failure;
use crate::cli::load::ConfigArgs;
use crate::cli::run::{MakeBundle, Orders, run_under};
use crate::core::limits::STOP_TIMEOUT;

/// Time that a start may take according to the manager: a store of millions of events may have to be migrated.
const START_HINT: Duration = Duration::from_secs(600);

/// Arguments of the service: the manager calls a function without any.
static ARGUMENTS: OnceLock<(ConfigArgs, MakeBundle)> = OnceLock::new();

define_windows_service!(service_entry, service_main);

/// Hands the process over to the service manager, until the service has stopped.
pub(super) fn run(config: ConfigArgs, make_bundle: MakeBundle) -> Result<(), Failure> {
    ARGUMENTS.get_or_init(|| (config, make_bundle));
    service_dispatcher::start(NAME, service_entry).map_err(|error| {
        Failure::because(format!(
            "the service manager starts this, nobody else; use `outpost run`: {}",
            crate::cli::failure::chain(&error)
        ))
    })
}

fn service_main(_: Vec<OsString>) {
    let event_log = EventLog::open();
    if let Err(error) = serve() {
        event_log.error(&error);
    }
}

/// Runs the agent, and reports to the manager at the end whether it failed: it is then started again.
fn serve() -> Result<(), String> {
    let (stop_sender, mut stop) = mpsc::channel::<()>(1);
    let (reload_sender, reload) = mpsc::channel::<()>(1);
    let handler = move |control| match control {
        ServiceControl::Stop | ServiceControl::Preshutdown => {
            // A waiting request stands for all.
            let _ = stop_sender.try_send(());
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::ParamChange => {
            let _ = reload_sender.try_send(());
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    let manager =
        service_control_handler::register(NAME, handler).map_err(|error| crate::cli::failure::chain(&error))?;
    tell(manager, ServiceState::StartPending, ServiceExitCode::NO_ERROR);
    let orders = move || Orders {
        stop: Box::pin(async move {
            stop.recv().await;
            tell(manager, ServiceState::StopPending, ServiceExitCode::NO_ERROR);
        }),
        reload,
        started: Box::new(move || tell(manager, ServiceState::Running, ServiceExitCode::NO_ERROR)),
    };
    let (config, make_bundle) = ARGUMENTS.get().expect("the service was started with its arguments");
    let result = run_under((config, *make_bundle), Some(Box::new(EventLog::open())), orders);
    let exit_code = match &result {
        Ok(()) => ServiceExitCode::NO_ERROR,
        Err(failure) => ServiceExitCode::ServiceSpecific(failure.exit_code.into()),
    };
    tell(manager, ServiceState::Stopped, exit_code);
    result.map_err(|failure| failure.message)
}

/// Reports a state to the service manager. This fails only if the manager has gone away, and with it the service.
fn tell(manager: ServiceStatusHandle, state: ServiceState, exit_code: ServiceExitCode) {
    let accepted = ServiceControlAccept::STOP | ServiceControlAccept::PRESHUTDOWN | ServiceControlAccept::PARAM_CHANGE;
    let _ = manager.set_service_status(ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: if state == ServiceState::Running { accepted } else { ServiceControlAccept::empty() },
        exit_code,
        checkpoint: 0,
        wait_hint: match state {
            ServiceState::StartPending => START_HINT,
            ServiceState::StopPending => STOP_TIMEOUT,
            _ => Duration::ZERO,
        },
        process_id: None,
    });
}
