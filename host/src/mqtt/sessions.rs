//! All sessions of this node, connected or not: who has which, when they end, and what happens to their wills.
//!
//! Lock order: the table, then one session, then the router's index, then a mailbox; deadlines are locked alone. Nothing
//! here waits: messages that have to be published (wills) are handed back to the caller.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::broker::Now;
use super::deadlines::{DeadlineKey, Deadlines};
use super::events::Events;
use super::mailbox::{Kick, Link, Mailbox};
use super::packet::Will;
use super::queue::QueueLimits;
use super::router::{Router, Subscribed};
use super::session::{Agreement, Expiry, Session};
use super::shared;
use super::traffic::Traffic;
use crate::ack::AckSignal;
use crate::event::Connection;
use crate::message::{Client, ClientId};
use crate::telemetry::metrics::Metrics;

/// A will with the client that left it.
#[derive(Clone, Debug)]
pub struct LastWill {
    pub client: Arc<Client>,
    pub will: Box<Will>,
}

#[derive(Debug)]
struct State {
    session: Session,
    /// The connection that has the session.
    link: Option<Arc<Link>>,
    /// That connection, or the last one.
    last: Arc<Link>,
    about: Arc<Connection>,
    will: Option<LastWill>,
    timers: Vec<DeadlineKey>,
    ended: bool,
    /// Milliseconds since 1970-01-01 UTC, as is the one below.
    created_at: i64,
    disconnected_at: Option<i64>,
}

/// A session as the tables show it; locked while it is looked at.
#[derive(Debug)]
pub struct View<'a> {
    pub session: &'a Session,
    pub mailbox: &'a Mailbox,
    pub about: &'a Connection,
    pub traffic: &'a Traffic,
    pub connected: bool,
    pub created_at: i64,
    pub disconnected_at: Option<i64>,
}

/// One session in the table.
#[derive(Debug)]
pub struct SessionCell {
    pub mailbox: Arc<Mailbox>,
    /// Raised as promises of this session settle, whichever of its connections they were made on.
    pub signal: Arc<AckSignal>,
    state: Mutex<State>,
}

impl SessionCell {
    /// The session, if it still belongs to the connection of `link`.
    pub fn lock(&self, link: &Arc<Link>) -> Option<SessionGuard<'_>> {
        let state = self.state.lock();
        let mine = state.link.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, link));
        mine.then_some(SessionGuard(state))
    }
}

/// A locked session.
#[derive(Debug)]
pub struct SessionGuard<'a>(MutexGuard<'a, State>);

impl std::ops::Deref for SessionGuard<'_> {
    type Target = Session;
    fn deref(&self) -> &Session {
        &self.0.session
    }
}

impl std::ops::DerefMut for SessionGuard<'_> {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.0.session
    }
}

#[derive(Debug)]
enum Due {
    Will(Arc<SessionCell>),
    End(Arc<SessionCell>),
}

/// A connection that asks for a session.
#[derive(Debug)]
pub struct Attach<'a> {
    pub about: &'a Arc<Connection>,
    pub clean_start: bool,
    pub agreement: Agreement,
    pub will: Option<Box<Will>>,
    pub link: &'a Arc<Link>,
}

/// The session that it got.
#[derive(Debug)]
pub struct Attached {
    pub cell: Arc<SessionCell>,
    pub session_present: bool,
    /// The will of a connection that lost the session; to be published.
    pub displaced_will: Option<LastWill>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// DISCONNECT with 0x00: no will.
    Normal,
    /// Anything else: the will is due.
    Abrupt,
}

/// The table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are as many sessions as `max_sessions` allows")]
pub struct TooManySessions;

/// What every session operation needs.
#[derive(Debug)]
pub struct Sessions {
    table: Mutex<FxHashMap<ClientId, Arc<SessionCell>>>,
    deadlines: Mutex<Deadlines<Due>>,
    /// Something was scheduled that is due before all else.
    sooner: Notify,
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    events: Arc<Events>,
    queue: QueueLimits,
    max_sessions: usize,
}

impl Sessions {
    #[must_use]
    pub fn new(
        router: Arc<Router>,
        metrics: Arc<Metrics>,
        events: Arc<Events>,
        queue: QueueLimits,
        max_sessions: usize,
    ) -> Sessions {
        Sessions {
            table: Mutex::default(),
            deadlines: Mutex::default(),
            sooner: Notify::new(),
            router,
            metrics,
            events,
            queue,
            max_sessions,
        }
    }

    /// Gives a connection its session: the old one with its state, or a new one; whoever had it is told to go.
    pub fn attach(&self, attach: Attach<'_>) -> Result<Attached, TooManySessions> {
        let mut table = self.table.lock();
        let full = table.len() >= self.max_sessions;
        let mut displaced_will = None;
        let entry = table.entry(attach.about.client.id.clone());
        if let Entry::Occupied(known) = &entry {
            let cell = known.get().clone();
            let mut state = cell.state.lock();
            let displaced = state.link.take();
            if let Some(link) = &displaced {
                link.kick(if attach.clean_start { Kick::Discarded } else { Kick::TakenOver });
            }
            self.cancel(&mut state);
            let resume = !attach.clean_start && !state.session.expiry.is_zero();
            // A delayed will is for a session that stays away; this one is back (MQTT-3.1.3-9).
            let delayed = state.will.as_ref().is_some_and(|last| !last.will.delay.is_zero());
            displaced_will = state.will.take().filter(|_| !(resume && delayed));
            if resume {
                state.session.connected(&attach.agreement);
                state.link = Some(attach.link.clone());
                state.last = attach.link.clone();
                state.about = attach.about.clone();
                state.disconnected_at = None;
                cell.mailbox.belongs_to(&attach.about.client);
                state.will = last_will(&attach);
                drop(state);
                cell.mailbox.connect(Some(attach.link.clone()));
                return Ok(Attached { cell, session_present: true, displaced_will });
            }
            self.end(&cell, &mut state);
        } else if full {
            return Err(TooManySessions);
        }
        let cell = Arc::new(SessionCell {
            mailbox: Mailbox::new(&attach.about.client, self.queue, &self.events),
            signal: AckSignal::new(),
            state: Mutex::new(State {
                session: Session::new(&attach.agreement),
                link: Some(attach.link.clone()),
                last: attach.link.clone(),
                about: attach.about.clone(),
                will: last_will(&attach),
                timers: Vec::new(),
                ended: false,
                created_at: attach.about.connected_at.unwrap_or_default(),
                disconnected_at: None,
            }),
        });
        cell.mailbox.connect(Some(attach.link.clone()));
        entry.insert_entry(cell.clone());
        self.metrics.sessions_current.set(table.len() as u64);
        Ok(Attached { cell, session_present: false, displaced_will })
    }

    /// A connection is gone. Returns the will that is due now.
    #[must_use]
    pub fn detach(&self, cell: &Arc<SessionCell>, link: &Arc<Link>, farewell: Farewell, now: Now) -> Option<LastWill> {
        let mut table = self.table.lock();
        let mut state = cell.state.lock();
        if !state.link.as_ref().is_some_and(|owner| Arc::ptr_eq(owner, link)) {
            // Taken over: whoever did so took care of the will. This connection may have looked at the signal last, so
            // the one that has it now must look again.
            if let Some(owner) = &state.link {
                owner.bell.ring();
            }
            return None;
        }
        state.link = None;
        state.disconnected_at = Some(now.unix_millis);
        let now = now.instant;
        cell.mailbox.connect(None);
        if farewell == Farewell::Normal {
            state.will = None;
        }
        let expiry = state.session.expiry;
        let delay = state.will.as_ref().map_or(Duration::ZERO, |last| last.will.delay);
        let mut due = None;
        if expiry.is_zero() {
            due = state.will.take();
            self.end(cell, &mut state);
            Self::forget(&mut table, &state.about.client.id, cell);
            self.metrics.sessions_current.set(table.len() as u64);
            return due;
        }
        if delay.is_zero() {
            due = state.will.take();
        }
        let ends = match expiry {
            Expiry::After(after) => now.checked_add(after),
            Expiry::Never => None,
        };
        if state.will.is_some() {
            // The end of the session publishes it as well, should that come first.
            let at = now.checked_add(delay).filter(|at| ends.is_none_or(|ends| *at < ends));
            if let Some(at) = at {
                self.schedule(&mut state, at, Due::Will(cell.clone()));
            }
        }
        if let Some(at) = ends {
            self.schedule(&mut state, at, Due::End(cell.clone()));
        }
        drop(state);
        // Others in a shared subscription can have what waits here; if there are none, it comes back.
        shared::hand_on(cell.mailbox.take_shared(|_| true), &self.metrics);
        due
    }

    /// Ends what is over at `now`; calls `publish` for each will that is due. Returns when to come again.
    pub fn run_due(&self, now: Instant, mut publish: impl FnMut(LastWill)) -> Option<Instant> {
        loop {
            let (due, next) = {
                let mut deadlines = self.deadlines.lock();
                (deadlines.pop_due(now), deadlines.next())
            };
            match due {
                None => return next,
                Some(Due::Will(cell)) => {
                    let mut state = cell.state.lock();
                    if state.link.is_none() {
                        state.will.take().into_iter().for_each(&mut publish);
                    }
                }
                Some(Due::End(cell)) => {
                    let mut table = self.table.lock();
                    let mut state = cell.state.lock();
                    if state.link.is_none() && !state.ended {
                        state.will.take().into_iter().for_each(&mut publish);
                        self.end(&cell, &mut state);
                        Self::forget(&mut table, &state.about.client.id, &cell);
                        self.metrics.sessions_current.set(table.len() as u64);
                    }
                }
            }
        }
    }

    /// Resolves when something was scheduled that is due earlier than what [`Sessions::run_due`] said.
    pub async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Tells a connected client to go; `false` when it is not connected.
    pub fn kick(&self, client: &ClientId, kick: Kick) -> bool {
        let cell = self.table.lock().get(client).cloned();
        let link = cell.and_then(|cell| cell.state.lock().link.clone());
        link.inspect(|link| link.kick(kick)).is_some()
    }

    /// Shows every session.
    pub fn for_each(&self, mut see: impl FnMut(View<'_>)) {
        let cells: Vec<_> = self.table.lock().values().cloned().collect();
        cells.iter().for_each(|cell| see(view(cell, &cell.state.lock())));
    }

    /// Shows one session; `None` when there is no such client.
    pub fn show<R>(&self, client: &ClientId, see: impl FnOnce(View<'_>) -> R) -> Option<R> {
        let cell = self.table.lock().get(client).cloned()?;
        let state = cell.state.lock();
        Some(see(view(&cell, &state)))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn schedule(&self, state: &mut State, at: Instant, due: Due) {
        let mut deadlines = self.deadlines.lock();
        let sooner = deadlines.next().is_none_or(|next| at < next);
        state.timers.push(deadlines.schedule(at, due));
        drop(deadlines);
        if sooner {
            self.sooner.notify_one();
        }
    }

    fn cancel(&self, state: &mut State) {
        let mut deadlines = self.deadlines.lock();
        state.timers.drain(..).for_each(|key| deadlines.cancel(key));
    }

    /// Takes a session apart: subscriptions, waiting messages, deadlines.
    fn end(&self, cell: &Arc<SessionCell>, state: &mut State) {
        self.cancel(state);
        state.ended = true;
        let subscriptions = std::mem::take(&mut state.session.subscriptions);
        self.metrics.subscriptions_current.sub(subscriptions.len() as u64);
        let shared = subscriptions.keys().filter(|filter| filter.starts_with("$share/")).count();
        self.metrics.subscriptions_shared.sub(shared as u64);
        for filter in subscriptions.keys() {
            if let Some(subscribed) = Subscribed::parse(filter) {
                self.router.unsubscribe(&subscribed, &cell.mailbox);
            }
        }
        let mut left = state.session.window.take_shared();
        left.extend(cell.mailbox.take_shared(|_| true));
        shared::hand_on(left, &self.metrics);
        let lost = cell.mailbox.close() + state.session.window.len();
        self.metrics.delivery_dropped_session_ended.add(lost as u64);
    }

    fn forget(table: &mut FxHashMap<ClientId, Arc<SessionCell>>, id: &ClientId, cell: &Arc<SessionCell>) {
        if table.get(id).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            table.remove(id);
            if table.capacity() > 1024 && table.len() * 8 < table.capacity() {
                table.shrink_to_fit();
            }
        }
    }
}

fn view<'a>(cell: &'a SessionCell, state: &'a State) -> View<'a> {
    View {
        session: &state.session,
        mailbox: &cell.mailbox,
        about: &state.about,
        traffic: &state.last.traffic,
        connected: state.link.is_some(),
        created_at: state.created_at,
        disconnected_at: state.disconnected_at,
    }
}

fn last_will(attach: &Attach<'_>) -> Option<LastWill> {
    attach.will.clone().map(|will| LastWill { client: attach.about.client.clone(), will })
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
