//! What a guest's calls use of its node: its objects, its clocks, its randomness.

use std::time::Duration;

use super::object::{Context, Protocol, Read};
use super::{Interest, Node, Object, ObjectId, Readiness, SocketKind, SocketOption, Waiter};
use crate::error::{Error, Result};
use crate::time::Instant;

impl Node {
    pub fn grant(&mut self, protocol: Box<dyn Protocol>) -> ObjectId {
        self.objects.insert(Object::Protocol(protocol))
    }

    /// Tasks that go on, handshakes and connections with more to them than the stack's among them.
    pub fn task_count(&self) -> usize {
        self.tasks.count()
    }

    /// How often tasks were put to work so far: what protocols cost, however fast the machine is.
    pub fn task_turns(&self) -> u64 {
        self.tasks.turns()
    }

    /// Objects open.
    pub fn object_count(&self) -> usize {
        self.objects.len()
    }

    pub fn random(&mut self, buffer: &mut [u8]) {
        self.rng.fill(buffer);
    }

    /// The guest has used so much fuel since it was started.
    pub fn charge(&mut self, fuel_used: u64) {
        self.cpu.charge(self.now, fuel_used);
    }

    /// The guest's monotonic clock.
    pub fn clock(&self) -> Instant {
        self.cpu.clock(self.now)
    }

    /// The guest's wall clock, `epoch` being the world's first instant, since the Unix epoch.
    pub fn wall_clock(&self, epoch: Duration) -> Duration {
        let skew = Duration::from_nanos(self.skew_ns.unsigned_abs());
        let lab = epoch + self.clock().elapsed();
        if self.skew_ns < 0 { lab.saturating_sub(skew) } else { lab + skew }
    }

    /// Wakes the guest at `at` if nothing does before.
    pub fn wake_at(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |other| other.min(at)));
    }

    fn with<T>(
        &mut self,
        id: ObjectId,
        operation: impl FnOnce(&mut Object, &mut Context) -> Result<T>,
    ) -> Result<T> {
        let Node { now, stack, namespace, rng, tasks, journal, whereabouts, objects, .. } = self;
        let object = objects.get_mut(id).ok_or(Error::BadDescriptor)?;
        let mut cx = Context { now: *now, stack, namespace, rng, tasks, journal, whereabouts };
        let answer = operation(object, &mut cx);
        if self.journal.traced {
            self.tell_remarks();
        }
        answer
    }

    pub fn open(&mut self, protocol: ObjectId, bind: &str, kind: SocketKind) -> Result<ObjectId> {
        let control = self.with(protocol, |object, cx| object.protocol()?.open(cx, bind, kind))?;
        Ok(self.objects.insert(Object::Control(control)))
    }

    /// Whether a control is where it was opened: `WouldBlock` while somebody else has to be asked for that.
    pub fn opened(&mut self, control: ObjectId) -> Result<()> {
        self.with(control, |object, cx| object.control()?.opened(cx))
    }

    pub fn listen(&mut self, control: ObjectId, backlog: usize) -> Result<()> {
        self.with(control, |object, cx| object.control()?.listen(cx, backlog))
    }

    pub fn accept(&mut self, control: ObjectId) -> Result<ObjectId> {
        let connection = self.with(control, |object, cx| object.control()?.accept(cx))?;
        Ok(self.objects.insert(Object::Connection(connection)))
    }

    pub fn connect(&mut self, control: ObjectId, address: &str) -> Result<ObjectId> {
        let connection = self.with(control, |object, cx| object.control()?.connect(cx, address))?;
        Ok(self.objects.insert(Object::Connection(connection)))
    }

    pub fn stream_create(&mut self, connection: ObjectId) -> Result<ObjectId> {
        let stream = self.with(connection, |object, cx| object.connection()?.stream_create(cx))?;
        Ok(self.objects.insert(Object::Stream(stream)))
    }

    pub fn stream_accept(&mut self, connection: ObjectId) -> Result<ObjectId> {
        let stream = self.with(connection, |object, cx| object.connection()?.stream_accept(cx))?;
        Ok(self.objects.insert(Object::Stream(stream)))
    }

    pub fn read(&mut self, stream: ObjectId, buffer: &mut [u8], peek: bool) -> Result<Read> {
        self.with(stream, |object, cx| object.stream()?.read(cx, buffer, peek))
    }

    pub fn write(&mut self, stream: ObjectId, bytes: &[u8]) -> Result<usize> {
        self.with(stream, |object, cx| object.stream()?.write(cx, bytes))
    }

    pub fn shutdown(&mut self, stream: ObjectId, read: bool, write: bool) -> Result<()> {
        self.with(stream, |object, cx| object.stream()?.shutdown(cx, read, write))
    }

    pub fn close(&mut self, id: ObjectId) {
        let Some(mut object) = self.objects.remove(id) else { return };
        match &mut object {
            Object::Protocol(protocol) => protocol.close(&mut self.context()),
            Object::Control(control) => control.close(&mut self.context()),
            Object::Connection(connection) => connection.close(&mut self.context()),
            Object::Stream(stream) => stream.close(&mut self.context()),
        }
    }

    pub fn readiness(&mut self, id: ObjectId) -> Result<Readiness> {
        self.with(id, |object, cx| Ok(object.endpoint()?.readiness(cx)))
    }

    /// See [`Endpoint::never`](super::object::Endpoint::never).
    pub fn never(&mut self, id: ObjectId, interest: Interest) -> Option<Error> {
        self.with(id, |object, cx| Ok(object.endpoint()?.never(cx, interest))).ok().flatten()
    }

    pub fn watch(&mut self, id: ObjectId, interest: Interest) {
        // An object that is gone wakes nobody.
        let _ = self.with(id, |object, cx| {
            object.endpoint()?.watch(cx, interest, Waiter::Guest);
            Ok(())
        });
    }

    pub fn kind(&mut self, id: ObjectId) -> Result<SocketKind> {
        self.with(id, |object, _| Ok(object.endpoint()?.kind()))
    }

    pub fn local_address(&mut self, id: ObjectId) -> Result<String> {
        self.with(id, |object, cx| object.endpoint()?.local_address(cx))
    }

    pub fn peer_address(&mut self, id: ObjectId) -> Result<String> {
        self.with(id, |object, cx| object.endpoint()?.peer_address(cx))
    }

    /// What both sides agreed to speak (ALPN); empty if nothing.
    pub fn application_protocol(&mut self, id: ObjectId) -> Result<Vec<u8>> {
        self.with(id, |object, cx| match object {
            Object::Control(_) => Err(Error::NotConnected),
            Object::Protocol(_) | Object::Connection(_) | Object::Stream(_) => {
                object.endpoint()?.application_protocol(cx)
            }
        })
    }

    pub fn join_group(&mut self, control: ObjectId, group: &str) -> Result<()> {
        self.with(control, |object, cx| object.control()?.join_group(cx, group))
    }

    pub fn leave_group(&mut self, control: ObjectId, group: &str) -> Result<()> {
        self.with(control, |object, cx| object.control()?.leave_group(cx, group))
    }

    pub fn option(&mut self, id: ObjectId, option: SocketOption) -> Result<u64> {
        self.with(id, |object, cx| object.endpoint()?.option(cx, option))
    }

    pub fn set_option(&mut self, id: ObjectId, option: SocketOption, value: u64) -> Result<()> {
        self.with(id, |object, cx| object.endpoint()?.set_option(cx, option, value))
    }
}
