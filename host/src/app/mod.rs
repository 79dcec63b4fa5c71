//! The composition root: load, build, bind, start, say ready; follow changes; then end, from the door backwards.
//!
//! This is the only file that spawns long-lived tasks. Everything is bound and built before anything is started, so a bad
//! configuration or a taken port never leaves half a process behind.

mod files;
mod guests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use crate::api::{self, ApiState, health::Readiness};
use crate::config::check::Unchecked;
use crate::config::watch::{Reloads, watch_files};
use crate::config::{self, Config, Loader};
use crate::kafka::Sink;
use crate::message::Message;
use crate::mqtt::{Front, FrontConfig, FrontHandle};
use crate::pipeline::{
    Blueprint, BuildError, Ingress, IngressLimits, Pipeline, Running, Subscribers, Surroundings, Trial,
};
use crate::task;
use crate::telemetry::{self, metrics::Metrics};

pub use guests::Plugins;

/// Of the time to stop, the share that clients get to see their acknowledgements; the rest is for Kafka alone.
const FRONT_SHARE: f64 = 0.7;

/// What `serve` wants beside the configuration.
#[derive(Default)]
pub struct Options {
    /// Gets the real addresses as JSON once everything is bound; for whoever asked for port 0.
    pub ports_file: Option<PathBuf>,
    /// Shown in the ports file.
    pub embedded_kafka: Option<String>,
    /// Called once with the real addresses when messages can come.
    pub on_ready: Option<OnReady>,
}

/// What is done with the real addresses.
pub type OnReady = Box<dyn FnOnce(&Addresses) + Send>;

/// Where the process can be reached.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Addresses {
    pub listeners: BTreeMap<String, SocketAddr>,
    pub api: Option<SocketAddr>,
    pub kafka: Option<String>,
}

/// Serves until SIGTERM or SIGINT, then drains; a second signal ends at once. The error is one that kept it from starting.
pub async fn run(loader: Loader, options: Options) -> Result<()> {
    let first_look = loader.load(&mut Unchecked)?;
    let (_log, _flush) = telemetry::init(&first_look.log)?;
    files::allow_all();
    let mut plugins = Plugins::new(&first_look.node.data_dir)?;
    // From here on a change is noticed: what the load below does not see any more, the watch does.
    let (watch, mut reloads) = watch_files(first_look.files).await;
    let config = load(&loader, &mut plugins).await?;
    reloads.watch(config.files.clone());

    let metrics = Arc::new(Metrics::default());
    let readiness = Readiness::default();
    let latch = readiness.part("pipeline");
    let ingress = Ingress::new(config.node.workers.get(), IngressLimits::default());
    let front = Front::bind(
        &config.listeners,
        FrontConfig {
            mqtt: config.mqtt.clone(),
            authentication: config.authentication.clone(),
            authorization: config.authorization.clone(),
            banned: config.banned.clone(),
        },
        crate::mqtt::SysTopics::new(config.sys_topics.clone(), &config.node.name, Instant::now()),
        ingress.clone(),
        metrics.clone(),
    )
    .await?;
    let api = match &config.api {
        Some(api) => Some(api::bind(&api.bind).await?),
        None => None,
    };
    let addresses = Addresses {
        listeners: front.addresses().iter().cloned().collect(),
        api: api.as_ref().map(api::ApiServer::addr),
        kafka: options.embedded_kafka,
    };

    let front_handle = front.handle();
    let pipeline = build(&config, &plugins, None)?;
    plugins.install();
    let running = Arc::new(
        Running::start(
            pipeline,
            ingress,
            Surroundings::new(config::variables_for_rules()),
            Arc::new(ToFront(front.handle())),
        )
        .context("cannot start the worker threads")?,
    );
    let (front_trigger, front_drain) = task::drain();
    let (api_trigger, api_drain) = task::drain();
    let (watch_trigger, watch_drain) = task::drain();
    let mut front_task = tokio::spawn(front.run(front_drain));
    let api_task = api.map(|api| {
        let figures = running.clone();
        let state = ApiState {
            metrics,
            figures: Arc::new(move |page: &mut String| figures.render_metrics(page)),
            readiness: readiness.clone(),
        };
        tokio::spawn(api.run(state, api_drain))
    });
    let watch_task = tokio::spawn(watch.run(watch_drain));

    if let Some(path) = &options.ports_file {
        write_ports(path, &addresses).with_context(|| format!("cannot write the ports file {}", path.display()))?;
    }
    latch.release();
    tracing::info!(node = config.node.name, version = env!("CARGO_PKG_VERSION"), "ready");
    if let Some(on_ready) = options.on_ready {
        on_ready(&addresses);
    }

    let mut node = Node { loader, plugins, config, running, front: front_handle };
    let stopped_early = node.follow(&mut reloads, &mut front_task).await;
    let Node { config: current, running, .. } = node;

    let patience = current.node.shutdown_timeout.duration();
    tracing::info!(within = ?patience, "stopping");
    let deadline = Instant::now() + patience;
    readiness.stopping();
    watch_trigger.announce(Duration::ZERO);
    let drained = async {
        if !stopped_early {
            front_trigger.announce(patience.mul_f64(FRONT_SHARE));
            if let Err(error) = (&mut front_task).await {
                tracing::error!(%error, "the MQTT front ended by a panic (this is a defect)");
            }
        }
        finish(running.clone(), deadline).await
    };
    let late = tokio::select! {
        late = drained => late,
        () = stop_signal() => bail!("stopped by a second signal; what was in flight is not acknowledged"),
    };
    api_trigger.announce(Duration::from_secs(1));
    if let Some(api_task) = api_task {
        match api_task.await {
            Ok(Err(error)) => tracing::error!(%error, "the API ended with an error"),
            Err(error) => tracing::error!(%error, "the API ended by a panic (this is a defect)"),
            Ok(Ok(())) => {}
        }
    }
    let _ = watch_task.await;
    for (action, late) in &late {
        tracing::warn!(action, late, "records that Kafka had not confirmed; their publishers have no acknowledgement");
    }
    tracing::info!("stopped");
    Ok(())
}

/// The configuration with its plugins loaded, everything tried.
async fn load(loader: &Loader, plugins: &mut Plugins) -> Result<Config> {
    // Compiling a plugin takes seconds of a core: not on a thread that serves clients.
    tokio::task::block_in_place(|| {
        let config = loader.load(plugins)?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        Ok(config)
    })
}

/// Where statements of this configuration can be tried out.
pub fn trial(config: &Config, plugins: &Plugins) -> Result<Trial> {
    let surroundings = Surroundings::new(config::variables_for_rules());
    Trial::new(surroundings, &blueprint(config, plugins)).map_err(|errors| in_lines(&errors))
}

fn build(config: &Config, plugins: &Plugins, running: Option<&Pipeline>) -> Result<Pipeline> {
    Pipeline::build(&blueprint(config, plugins), running).map_err(|errors| in_lines(&errors))
}

fn blueprint<'a>(config: &'a Config, plugins: &'a Plugins) -> Blueprint<'a> {
    Blueprint {
        node: &config.node.name,
        connectors: &config.connectors,
        actions: &config.actions,
        built_ins: &config.built_ins,
        rules: &config.rules,
        guests: plugins.guests(),
        schema_registry: &config.schema_registry,
        rule_engine: &config.rule_engine,
    }
}

fn in_lines(errors: &[BuildError]) -> anyhow::Error {
    let texts: Vec<String> = errors.iter().map(BuildError::to_string).collect();
    anyhow::anyhow!(texts.join("\n"))
}

/// Republished messages go up to the front, which the pipeline does not know.
struct ToFront(FrontHandle);

impl Subscribers for ToFront {
    fn publish(&self, message: &Message, may_retain: bool) {
        self.0.publish(message, may_retain);
    }
}

/// What a reload changes.
struct Node {
    loader: Loader,
    plugins: Plugins,
    config: Config,
    running: Arc<Running>,
    front: FrontHandle,
}

impl Node {
    /// Applies changes until it is time to stop. True when the front ended by itself.
    async fn follow(&mut self, reloads: &mut Reloads, front: &mut tokio::task::JoinHandle<()>) -> bool {
        let stop = stop_signal();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return false,
                ended = &mut *front => {
                    tracing::error!(?ended, "the MQTT front ended by itself (this is a defect)");
                    return true;
                }
                Some(cause) = reloads.next() => {
                    tracing::info!(?cause, "loading the configuration again");
                    match self.reload().await {
                        Ok(()) => {
                            reloads.watch(self.config.files.clone());
                            tracing::info!("the new configuration is in use");
                        }
                        // The old one goes on untouched.
                        Err(error) => tracing::error!("the new configuration is not used: {error:#}"),
                    }
                }
            }
        }
    }

    async fn reload(&mut self) -> Result<()> {
        let mut plugins = self.plugins.fork();
        let next = load(&self.loader, &mut plugins).await?;
        let pipeline = tokio::task::block_in_place(|| build(&next, &plugins, Some(&self.running.current())))?;
        // The users file and the certificates may have changed although their names did not.
        self.front.reload_authentication(&next.authentication)?;
        self.front.reload_authorization(&next.authorization)?;
        self.front.reload_certificates()?;
        self.front.reload_banned(&next.banned)?;
        self.plugins = plugins;
        self.plugins.install();
        let retired = self.running.swap(pipeline);
        if !retired.is_empty() {
            let deadline = Instant::now() + next.node.shutdown_timeout.duration();
            tokio::task::spawn_blocking(move || retire(retired, deadline));
        }
        for (section, changed) in [
            ("listeners", next.listeners != self.config.listeners),
            ("mqtt", next.mqtt != self.config.mqtt),
            ("sys_topics", next.sys_topics != self.config.sys_topics),
            ("node", next.node != self.config.node),
            ("api", next.api != self.config.api),
            ("log", next.log != self.config.log),
        ] {
            if changed {
                tracing::warn!("[{section}] has changed; that takes effect at the next start");
            }
        }
        self.config = next;
        Ok(())
    }
}

/// Ends sinks that no pipeline uses any more, once the last worker has let go of them. Blocks.
fn retire(sinks: Vec<(String, Arc<Sink>)>, deadline: Instant) {
    for (action, sink) in sinks {
        // A worker holds it for at most one batch or one idle look.
        while Arc::strong_count(&sink) > 1 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        sink.stop(deadline);
        let late = sink.join();
        tracing::info!(action, late, "the action's former connection has ended");
    }
}

/// Ends workers and sinks; gives the actions that had records which Kafka did not confirm in time.
async fn finish(running: Arc<Running>, deadline: Instant) -> Vec<(String, u64)> {
    let ended = tokio::task::spawn_blocking(move || {
        running.finish_workers();
        let sinks = running.sinks();
        sinks.iter().for_each(|(_, sink)| sink.stop(deadline));
        sinks.into_iter().map(|(action, sink)| (action, sink.join())).filter(|(_, late)| *late > 0).collect()
    });
    ended.await.unwrap_or_default()
}

/// Resolves at SIGTERM or SIGINT.
async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be heard; the process can only be killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Whole or not at all: a reader never sees half a file.
fn write_ports(path: &PathBuf, addresses: &Addresses) -> std::io::Result<()> {
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    std::fs::write(&beside, serde_json::to_vec(addresses)?)?;
    std::fs::rename(&beside, path)
}
