//! A node: a guest's place in the network.
//!
//! ```text
//! guest call --> calls.rs --> object (object.rs, by its traits) --> Stack (stack/) --> egress
//! frame -------> here ------------------------------------------> Stack --> woken
//! ```
//!
//! A node is shared between the world, which moves frames and time, and its guest's calls; it is locked for
//! one call or one turn, never across a wait. It knows nothing of WebAssembly, descriptors or drivers.

mod calls;
mod cpu;
mod journal;
mod namespace;
pub mod object;
pub mod slab;
pub mod stack;
mod stdio;
pub mod task;
pub mod wake;
mod whereabouts;

pub use cpu::Cpu;
pub use journal::Journal;
pub use namespace::Namespace;
pub use object::{Object, ObjectId, SocketOption};
pub use stack::Stack;
pub use stdio::{Output, OutputStream, Stdio};
pub use wake::{Interest, Readiness, Waiter};
pub use whereabouts::Whereabouts;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use smoltcp::wire::IpCidr;

use crate::network::ip::is_link_local;
use crate::network::{Automatic, Frame, InterfaceConfig, Route};
use crate::rng::Rng;
use crate::time::Instant;
use object::Context;
use slab::Slab;
use task::{Handle, Task, Tasks};

/// What `open` is asked for (`filetype` 6 and 5 of the guest ABI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    Stream,
    Datagram,
}

/// What a program left open as it ended: its system closes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOpen {
    /// Descriptors that it had opened itself, and not closed.
    pub descriptors: usize,
    /// It wanted one more at some time, and its scenario allows no more.
    pub refused: bool,
}

pub struct Node {
    /// The instant of the turn under way.
    pub now: Instant,
    pub stdio: Stdio,
    pub cpu: Cpu,
    /// How far its wall clock is ahead of the lab's, in nanoseconds.
    skew_ns: i64,
    stack: Stack,
    /// Interfaces of `stack`; that of the namespace comes behind them.
    interfaces: usize,
    namespace: Option<Box<Namespace>>,
    objects: Slab<Object>,
    tasks: Tasks,
    journal: Journal,
    whereabouts: Whereabouts,
    /// For `random_get` and whatever else a guest draws.
    rng: Rng,
    /// When the guest is to run again whatever happens.
    deadline: Option<Instant>,
    woken: bool,
    /// Of the program that ended last.
    pub left_open: LeftOpen,
}

impl Node {
    pub fn new(interfaces: &[InterfaceConfig], routes: &[Route], stack_rng: Rng, guest_rng: Rng) -> Self {
        Self {
            now: Instant::START,
            stdio: Stdio::default(),
            cpu: Cpu::new(None),
            skew_ns: 0,
            stack: Stack::new(interfaces, routes, stack_rng, Instant::START),
            interfaces: interfaces.len(),
            namespace: None,
            objects: Slab::default(),
            tasks: Tasks::default(),
            journal: Journal::default(),
            whereabouts: Whereabouts::default(),
            rng: guest_rng,
            deadline: None,
            woken: false,
            left_open: LeftOpen::default(),
        }
    }

    pub fn ingest(&mut self, now: Instant, interface: usize, frame: Frame) {
        self.now = now;
        match &mut self.namespace {
            Some(namespace) if interface == self.interfaces => namespace.stack.ingest(now, 0, frame),
            Some(_) | None => self.stack.ingest(now, interface, frame),
        }
    }

    /// Has a place in the lab's namespace of Unix-domain sockets from now on.
    pub fn join(&mut self, namespace: Namespace) {
        self.namespace = Some(Box::new(namespace));
    }

    /// Finds others of its lab by this from now on.
    pub fn set_whereabouts(&mut self, whereabouts: &Whereabouts) {
        self.whereabouts = whereabouts.clone();
    }

    /// The addresses that it can be found at, if they are others than at the last call.
    pub fn take_moved(&mut self) -> Option<Vec<IpAddr>> {
        self.stack.take_readdressed().then(|| self.reachable())
    }

    /// The addresses that it can be found at: link-local ones only where it has no others.
    pub fn reachable(&self) -> Vec<IpAddr> {
        let all = || self.stack.addresses().map(|cidr| IpAddr::from(cidr.address()));
        let reachable: Vec<IpAddr> = all().filter(|&ip| !is_link_local(ip)).collect();
        if reachable.is_empty() { all().collect() } else { reachable }
    }

    /// Does what is due; true if there is more to do at this instant.
    pub fn poll(&mut self, now: Instant) -> bool {
        self.now = now;
        self.stack.poll(now);
        if let Some(namespace) = &mut self.namespace {
            namespace.stack.poll(now);
        }
        self.context().run_tasks();
        self.tell_remarks();
        self.has_work()
    }

    pub fn poll_at(&self) -> Option<Instant> {
        let namespace = self.namespace.as_ref().and_then(|namespace| namespace.stack.poll_at());
        [self.stack.poll_at(), namespace, self.tasks.poll_at()].into_iter().flatten().min()
    }

    pub fn has_work(&self) -> bool {
        self.stacks().any(|stack| stack.has_work() || stack.has_woken_tasks()) || self.tasks.has_work()
    }

    /// Its own, and that of the namespace.
    pub fn stacks(&self) -> impl Iterator<Item = &Stack> {
        std::iter::once(&self.stack).chain(self.namespace.iter().map(|namespace| &namespace.stack))
    }

    fn stacks_mut(&mut self) -> impl Iterator<Item = &mut Stack> {
        let namespace = self.namespace.iter_mut().map(|namespace| &mut namespace.stack);
        std::iter::once(&mut self.stack).chain(namespace)
    }

    fn context(&mut self) -> Context<'_> {
        let Node { now, stack, namespace, rng, tasks, journal, whereabouts, .. } = self;
        Context { now: *now, stack, namespace, rng, tasks, journal, whereabouts }
    }

    /// What protocol objects had to say goes where the guest's calls go.
    fn tell_remarks(&mut self) {
        for remark in self.journal.take_remarks() {
            self.stdio.trace(format!("{} -- {remark}", self.now));
        }
    }

    /// Whether guest calls are traced, and remarks with them.
    pub fn set_traced(&mut self, traced: bool) {
        self.journal.traced = traced;
    }

    /// Lines of a key log since the last call.
    pub fn take_secrets(&mut self) -> Vec<String> {
        self.journal.take_secrets()
    }

    /// Events of QUIC connections since the last call, each with the file that it is meant for.
    pub fn take_qlogs(&mut self) -> Vec<(Arc<Path>, Vec<u8>)> {
        self.journal.take_qlogs()
    }

    pub fn take_egress(&mut self, into: &mut Vec<(usize, Frame)>) {
        self.stack.take_egress(into);
        if let Some(namespace) = &mut self.namespace {
            let first = into.len();
            namespace.stack.take_egress(into);
            into[first..].iter_mut().for_each(|(interface, _)| *interface += self.interfaces);
        }
    }

    pub fn set_eager(&mut self, interface: usize, eager: bool) {
        match &mut self.namespace {
            Some(namespace) if interface == self.interfaces => namespace.stack.set_eager(0, eager),
            Some(_) | None => self.stack.set_eager(interface, eager),
        }
    }

    pub fn set_checksums(&mut self, filled_in: bool) {
        self.stacks_mut().for_each(|stack| stack.set_checksums(filled_in));
    }

    /// Bytes that the buffers of its sockets may take.
    pub fn set_buffers(&mut self, bytes: usize) {
        self.stacks_mut().for_each(|stack| stack.set_buffers(bytes));
    }

    /// True if the guest has something to wake up for.
    pub fn take_woken(&mut self) -> bool {
        let waked = self.stacks_mut().fold(false, |waked, stack| waked | stack.wakes().take_guest());
        std::mem::take(&mut self.woken) | waked | self.stdio.take_woken()
    }

    pub fn take_deadline(&mut self) -> Option<Instant> {
        self.deadline.take()
    }

    /// Closes every object (the guest is gone); the stack lives on until it is drained.
    pub fn close_all(&mut self) {
        for id in self.objects.ids().collect::<Vec<_>>() {
            self.close(id);
        }
    }

    /// True if nothing is left that was written and not acknowledged.
    pub fn is_drained(&self) -> bool {
        // The stacks know at once; tasks are asked one by one.
        self.stacks().all(Stack::is_drained) && self.tasks.is_drained()
    }

    /// The same of its tasks alone, whatever connections they have.
    pub fn has_drained_tasks(&self) -> bool {
        self.tasks.is_drained()
    }

    /// Resets what is left after lingering.
    pub fn abort_all(&mut self) {
        self.context().abort_tasks();
        self.stacks_mut().for_each(Stack::tcp_abort_all);
    }

    /// Has an interface configure itself; before the first turn.
    pub fn configure(&mut self, interface: usize, automatic: Automatic) {
        self.stack.configure(interface, automatic);
    }

    /// True once interfaces that configure themselves have addresses.
    pub fn is_configured(&self) -> bool {
        self.stack.is_configured()
    }

    /// Servers of names that DHCP and router advertisements told of.
    pub fn dns_servers(&self) -> Vec<IpAddr> {
        self.stack.dns_servers()
    }

    /// Changes an interface's addresses; neighbours are told.
    pub fn rebind(&mut self, now: Instant, interface: usize, addresses: &[IpCidr]) {
        self.now = now;
        self.stack.rebind(now, interface, addresses);
    }

    /// Sets the wall clock, so far ahead of the lab's. Whoever waits for a time of day looks at it again.
    pub fn set_skew(&mut self, skew_ns: i64) {
        self.skew_ns = skew_ns;
        self.woken = true;
    }

    pub fn skew(&self) -> i64 {
        self.skew_ns
    }

    /// Another program begins, on the same stack.
    pub fn begin_program(&mut self, now: Instant) {
        self.now = now;
        self.stdio = Stdio::default();
        self.cpu.restart();
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Begins work of the host's own: a service, where there is no guest.
    pub fn spawn<T: Task>(&mut self, task: T) -> Handle<T> {
        self.context().spawn(task)
    }

    /// Puts a task to work from outside; `None` once it is over.
    pub fn with_task<T: Task, R>(
        &mut self,
        handle: Handle<T>,
        work: impl FnOnce(&mut T, &mut Context) -> R,
    ) -> Option<R> {
        self.context().with_task(handle, work)
    }

    /// Looks at a task; `None` once it is over.
    pub fn task<T: Task>(&self, handle: Handle<T>) -> Option<&T> {
        self.tasks.get(handle)
    }
}
