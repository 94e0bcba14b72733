//! `--listen`: metrics and health over HTTP, of `metrics` and `record`.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::output::notice;
use crate::{
    sampler::Sample,
    serve::{ListenAddress, ListenOptions, Listener},
};

/// Where metrics are served, and to whom.
#[derive(Debug, clap::Args)]
pub struct ListenArgs {
    /// Serve metrics and health at ADDRESS: an address and a port as in 127.0.0.1:9464, or unix:PATH.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<ListenAddress>,
    /// Also serve the whole sample at /snapshot, which a unix socket does anyway.
    #[arg(long, requires = "listen")]
    expose_snapshot: bool,
    /// Also answer requests to this host name. Without it, only loopback names and the address itself are answered.
    #[arg(long, requires = "listen", value_name = "NAME")]
    allowed_host: Vec<String>,
}

impl ListenArgs {
    pub fn is_wanted(&self) -> bool {
        self.listen.is_some()
    }

    /// Serves `samples`, which come `every` so often, until the listener is dropped. `None` if that is not wanted.
    ///
    /// # Errors
    ///
    /// The address is taken or not allowed.
    pub fn start(
        &self,
        samples: &watch::Receiver<Option<Arc<Sample>>>,
        every: Duration,
    ) -> anyhow::Result<Option<Listener>> {
        let Some(address) = self.listen.clone() else { return Ok(None) };
        let is_loopback = address.is_loopback();
        let options = ListenOptions {
            address,
            has_snapshot: self.expose_snapshot,
            allowed_hosts: self.allowed_host.clone(),
            every,
        };
        let listener = Listener::start(&options, samples.clone())?;
        notice(&format!("serves metrics at {}", listener.place()));
        if !is_loopback {
            notice("warning: other machines can reach this address; there is no password and no encryption");
        }
        Ok(Some(listener))
    }
}
