//! From a device's name to a descriptor that does not block, by way of the namespace the device lives in.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::thread;

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tun_tap::{Iface, Mode};

use super::{TapError, link};

const DEVICE_NAME_BYTES_MAX: usize = 15;

pub(super) struct Opened {
    pub file: File,
    pub mtu: u32,
    /// Of the device, which are Linux's behind it.
    pub addresses: Vec<IpAddr>,
}

pub(super) fn open(device: &str, netns: Option<&str>) -> Result<Opened, TapError> {
    // The kernel takes `%d` for "the next number that is free", and the rest would end up in another name or
    // nowhere.
    let fits = (1..=DEVICE_NAME_BYTES_MAX).contains(&device.len()) && !matches!(device, "." | "..");
    if !fits || device.contains(|c: char| c.is_whitespace() || c.is_control() || "/:%".contains(c)) {
        return Err(TapError::DeviceName { device: device.into() });
    }
    let Some(netns) = netns else { return attach(device) };
    if matches!(netns, "" | "." | "..") || netns.contains(['/', '\0']) {
        return Err(TapError::NamespaceName { netns: netns.into() });
    }
    let namespace = File::open(format!("/run/netns/{netns}")).map_err(|error| match error.kind() {
        ErrorKind::NotFound => TapError::NamespaceMissing { netns: netns.into() },
        _ => TapError::NamespaceEntry { netns: netns.into(), source: error },
    })?;
    // Being in a namespace is a property of a thread. One that ends afterwards needs no way back, and a TAP
    // belongs to the namespace it was opened in, whoever uses its descriptor.
    thread::scope(|scope| {
        let visit = || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
                Errno::EPERM => TapError::Permission {
                    what: format!("enter the network namespace `{netns}`"),
                    source: errno.into(),
                },
                _ => TapError::NamespaceEntry { netns: netns.into(), source: errno.into() },
            })?;
            attach(device)
        };
        let visitor = thread::Builder::new()
            .name("tap".into())
            .spawn_scoped(scope, visit)
            .map_err(system(device, "starting a thread"))?;
        visitor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Attaches to the device in the namespace of the calling thread, and makes the device if it is not there.
fn attach(device: &str) -> Result<Opened, TapError> {
    let iface = Iface::without_packet_info(device, Mode::Tap).map_err(|error| refusal(device, error))?;
    iface.set_non_blocking().map_err(system(device, "switching to non-blocking mode"))?;
    let descriptor = duplicate(&iface).map_err(system(device, "taking hold of the descriptor"))?;
    let state = link::query(device).map_err(system(device, "asking rtnetlink about it"))?;
    if !state.up {
        link::put_up(state.index)
            .map_err(|source| TapError::Down { device: device.into(), source: source.into() })?;
    }
    let addresses = addresses(device).map_err(system(device, "asking for its addresses"))?;
    Ok(Opened { file: descriptor.into(), mtu: state.mtu, addresses })
}

/// The device's addresses, in the namespace of the calling thread.
fn addresses(device: &str) -> Result<Vec<IpAddr>, Errno> {
    let own = getifaddrs()?.filter(|entry| entry.interface_name == device);
    let address = |entry: InterfaceAddress| {
        let address = entry.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    Ok(own.filter_map(address).collect())
}

/// What the kernel means by its answer to the opening of `/dev/net/tun` or to `TUNSETIFF`.
fn refusal(device: &str, error: io::Error) -> TapError {
    let device = device.to_owned();
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => TapError::Driver { source: error },
        Some(Errno::EACCES) => TapError::Permission { what: "open /dev/net/tun".into(), source: error },
        Some(Errno::EPERM) => {
            TapError::Permission { what: format!("make or use the TAP `{device}`"), source: error }
        }
        Some(Errno::EBUSY) => TapError::Busy { device },
        Some(Errno::EINVAL) => TapError::Kind { device },
        _ => TapError::System { device, what: "attaching to it", source: error },
    }
}

fn system<E: Into<io::Error>>(device: &str, what: &'static str) -> impl FnOnce(E) -> TapError {
    move |error| TapError::System { device: device.into(), what, source: error.into() }
}

/// A descriptor of our own for the same open TAP.
///
/// tun-tap hands its descriptor out as a bare number, which safe Rust can neither borrow nor own. A message
/// to ourselves carries it: the sender names it by number, and what the receiver gets is a duplicate that it
/// owns.
fn duplicate(iface: &Iface) -> io::Result<OwnedFd> {
    let (sender, receiver) = UnixDatagram::pair()?;
    let numbers = [iface.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(sender.as_raw_fd(), &[IoSlice::new(&[0])], &rights, MsgFlags::empty(), None)?;

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&receiver, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .ok_or_else(|| io::Error::from(Errno::EMFILE))
}
