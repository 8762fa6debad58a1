//! The guest's side of a layered control: a handle to its gate.

use std::sync::Arc;

use super::Layer;
use super::gate::Gate;
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Endpoint, SocketOption};
use crate::node::task::{Handle, Task};
use crate::node::{Interest, Readiness, SocketKind, Waiter};

pub(super) struct LayeredControl {
    gate: Handle<Gate>,
}

impl LayeredControl {
    pub fn new(cx: &mut Context, below: Box<dyn Control>, layer: Arc<dyn Layer>) -> Self {
        Self { gate: cx.spawn(Gate::new(below, layer)) }
    }

    fn with<R>(
        &mut self,
        cx: &mut Context,
        work: impl FnOnce(&mut Gate, &mut Context) -> Result<R>,
    ) -> Result<R> {
        cx.with_task(self.gate, work).unwrap_or(Err(Error::BadDescriptor))
    }

    fn below<'a>(&self, cx: &'a Context) -> Result<&'a dyn Control> {
        cx.tasks.get(self.gate).and_then(|gate| gate.below.as_deref()).ok_or(Error::BadDescriptor)
    }
}

impl Control for LayeredControl {
    /// As it is below: what runs over a socket that another has bound is not bound either.
    fn opened(&mut self, cx: &mut Context) -> Result<()> {
        let me = self.gate;
        self.with(cx, |gate, cx| gate.opened(cx, me))
    }

    fn listen(&mut self, cx: &mut Context, backlog: usize) -> Result<()> {
        let me = self.gate;
        self.with(cx, |gate, cx| gate.listen(cx, me, backlog))
    }

    fn accept(&mut self, cx: &mut Context) -> Result<Box<dyn Connection>> {
        let me = self.gate;
        self.with(cx, |gate, cx| gate.accept(cx, me))
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        let me = self.gate;
        self.with(cx, |gate, cx| gate.connect(cx, me, address))
    }
}

impl Endpoint for LayeredControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        cx.tasks.get(self.gate).map(Gate::readiness).unwrap_or_default()
    }

    fn never(&self, cx: &Context, interest: Interest) -> Option<Error> {
        let comes = cx.tasks.get(self.gate).is_some_and(|gate| gate.may_come(interest));
        (!comes).then_some(Error::Invalid)
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        cx.with_task(self.gate, |gate, _| gate.watch(interest, waiter));
    }

    fn close(&mut self, cx: &mut Context) {
        cx.with_task(self.gate, |gate, cx| gate.abort(cx));
    }

    fn local_address(&self, cx: &Context) -> Result<String> {
        self.below(cx)?.local_address(cx)
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
    }

    fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        self.below(cx)?.option(cx, option)
    }

    fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        self.with(cx, |gate, cx| gate.below()?.set_option(cx, option, value))
    }

    fn kind(&self) -> SocketKind {
        SocketKind::Stream
    }
}
