//! The Square account that is copied: a simulated one of its own process, or
//! whatever the environment names.

use tokio::process::Command;

use crate::checkout::Checkout;
use crate::error::StackError;
use crate::guard::{Guard, Service, StopSignal};
use crate::ports;
use crate::settings::SquareAccount;

/// Square's address, its token, and the simulator's process if there is one.
#[derive(Debug)]
pub(crate) struct Square {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) service: Option<Service>,
}

impl Square {
    /// Starts the simulator on this port, unless the account is another one.
    pub(crate) async fn start(
        account: SquareAccount,
        port: u16,
        arguments: &[String],
        checkout: &Checkout,
        guard: &Guard,
    ) -> Result<Self, StackError> {
        let token = match account {
            SquareAccount::At { url, token } => {
                return Ok(Self {
                    url,
                    token,
                    service: None,
                });
            }
            SquareAccount::Simulated { token, .. } => token,
        };
        let mut command = Command::new(checkout.binary("square-sim")?);
        command
            .env_clear()
            .current_dir(guard.scratch())
            .args(["--stay", "--port", &port.to_string()])
            .args(arguments);
        let mut service = guard.start("square-sim", command, StopSignal::Term)?;
        service.until(async || ports::answers(port).await).await?;
        Ok(Self {
            url: format!("http://127.0.0.1:{port}"),
            token,
            service: Some(service),
        })
    }
}
