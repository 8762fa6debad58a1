//! Where a capture goes: one file, standard output, or a file for each guest.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use guestnet::capture::{Each, Fan, Group, KeyLog, Overtake, PortInfo, Session, Sink, Writer, is_port_of};
use guestnet::live::capture::{CaptureFile, Threaded, private_file};
use guestnet::world::World;

use super::Failure;

/// What the command line says of captures.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Capture {
    /// Write every frame to this pcapng file; `-` is standard output, for `| wireshark -k -i -`
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Capture only at this guest, router, switch, TAP or port, such as `client`, `r1.wan` or `lan.0`; may be repeated
    #[arg(long, value_name = "NAME", requires = "capture")]
    capture_at: Vec<String>,
    /// How often the capture shows a frame that does not change on its way
    #[arg(
        long,
        value_name = "WHAT",
        requires = "capture",
        default_value = "link",
        conflicts_with = "capture_at"
    )]
    capture_each: EachArgument,
    /// Write one pcapng file for each guest, NAME.pcapng, into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "capture")]
    capture_guests: Option<PathBuf>,
    /// Put the secrets of TLS connections into the capture, which shows their plaintext then: with --sim that is so anyway
    #[arg(long)]
    secrets: bool,
    /// Write the secrets of TLS connections to this file too, in the format of SSLKEYLOGFILE
    #[arg(long, value_name = "FILE")]
    keylog: Option<PathBuf>,
}

/// [`Each`] on the command line.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum EachArgument {
    /// At every port that it crosses
    Port,
    /// Once on an ideal link: at the guest's, router's or TAP's end rather than at the switch's
    #[default]
    Link,
    /// Once as it leaves a guest, a router or a TAP, and again where a link that is not ideal delivers it
    Packet,
}

impl From<EachArgument> for Each {
    fn from(each: EachArgument) -> Each {
        match each {
            EachArgument::Port => Each::Port,
            EachArgument::Link => Each::Link,
            EachArgument::Packet => Each::Packet,
        }
    }
}

impl Capture {
    /// True if standard output belongs to the capture, and what guests print has to go elsewhere.
    pub fn takes_stdout(&self) -> bool {
        self.capture.as_deref() == Some(Path::new("-"))
    }

    /// Whether protocol objects are to tell their secrets; `by_default`: what the driver and the scenario say.
    pub fn wants_secrets(&self, by_default: bool) -> bool {
        let captured = self.capture.is_some() || self.capture_guests.is_some();
        self.keylog.is_some() || captured && (self.secrets || by_default)
    }

    /// As the summary names it.
    pub fn place(&self) -> Option<&Path> {
        self.capture.as_deref().or(self.capture_guests.as_deref()).filter(|_| !self.takes_stdout())
    }

    /// Has `world` write what is to be captured, if anything is, on a thread of its own.
    /// `late_secrets`: those of a connection may come after its packets.
    pub fn begin(&self, world: &mut World, late_secrets: bool) -> Result<(), Failure> {
        let Some(sink) = self.open(world, late_secrets)? else { return Ok(()) };
        if self.capture_guests.is_some() {
            world.set_captured_ports(world.guest_ports().flat_map(|(_, ports)| ports).collect::<Vec<_>>());
        } else if !self.capture_at.is_empty() {
            world.set_captured_ports(self.ports(world.session())?);
        } else {
            world.set_each(self.capture_each.into());
        }
        world.set_sink(sink);
        Ok(())
    }

    /// The files that it writes, in a lab of these guests, and the option that says so.
    pub fn files<'a>(&self, guests: impl Iterator<Item = &'a str>) -> Vec<(&'static str, PathBuf)> {
        let mut files = match (&self.capture, &self.capture_guests) {
            (Some(_), _) if self.takes_stdout() => Vec::new(),
            (Some(path), _) => vec![("--capture", path.clone())],
            (None, Some(folder)) => {
                guests.map(|name| ("--capture-guests", folder.join(format!("{name}.pcapng")))).collect()
            }
            (None, None) => Vec::new(),
        };
        files.extend(self.keylog.iter().map(|log| ("--keylog", log.clone())));
        files
    }

    /// A terminal shows a capture as noise, and may take parts of it for commands.
    pub fn refuse_terminal(&self) -> Result<(), Failure> {
        if self.takes_stdout() && io::stdout().is_terminal() {
            return Err(Failure::usage(
                "--capture -: standard output is a terminal",
                "a capture is read by a program: guestnet run --capture - ... | wireshark -k -i -; or name a file",
            ));
        }
        Ok(())
    }

    /// The sink for `world`, before a thread that writes; `None` if nothing is to be captured.
    fn open(&self, world: &World, late_secrets: bool) -> Result<Option<Box<dyn Sink>>, Failure> {
        let capture = match self.open_capture(world)? {
            Some(sink) if late_secrets => Some(Box::new(Overtake::new(sink)) as Box<dyn Sink>),
            other => other,
        };
        let Some(path) = &self.keylog else { return Ok(capture) };
        let file = private_file(path).map_err(Failure::io(format!("key log {}", path.display())))?;
        Ok(Some(Box::new(KeyLog::new(file, capture))))
    }

    fn open_capture(&self, world: &World) -> Result<Option<Box<dyn Sink>>, Failure> {
        let sink: Box<dyn Sink> = if let Some(folder) = &self.capture_guests {
            fs::create_dir_all(folder).map_err(Failure::io(format!("capture {}", folder.display())))?;
            let (ports, outs): (Vec<_>, Vec<_>) = world
                .guest_ports()
                .map(|(name, ports)| Ok((ports, create(&folder.join(format!("{name}.pcapng")))?)))
                .collect::<Result<Vec<_>, Failure>>()?
                .into_iter()
                .unzip();
            let outs = Threaded::new(outs).map_err(self.failed())?;
            let groups = ports.into_iter().zip(outs).map(|(ports, out)| Group { ports, out }).collect();
            Box::new(Fan::new(world.session(), groups).map_err(self.failed())?)
        } else if let Some(path) = &self.capture {
            // What is wrong is told before a file is emptied.
            let ports = match &self.capture_at[..] {
                [] => None,
                _ => Some(self.ports(world.session())?),
            };
            let out = if self.takes_stdout() { Box::new(io::stdout()) } else { create(path)? };
            let mut outs = Threaded::new(vec![out]).map_err(self.failed())?;
            let Some(out) = outs.pop() else { return Ok(None) };
            match ports {
                None => Box::new(Writer::new(out, world.session()).map_err(self.failed())?),
                Some(ports) => {
                    let groups = vec![Group { ports, out }];
                    Box::new(Fan::new(world.session(), groups).map_err(self.failed())?)
                }
            }
        } else {
            return Ok(None);
        };
        Ok(Some(sink))
    }

    /// The ports that `--capture-at` names, in the lab's order: `r1` is all of `r1.lan` and `r1.wan`.
    fn ports(&self, session: &Session) -> Result<Vec<u32>, Failure> {
        if let Some(name) =
            self.capture_at.iter().find(|name| !session.ports.iter().any(|port| is_port_of(&port.name, name)))
        {
            let known: Vec<_> = session.ports.iter().take(20).map(|port| port.name.as_str()).collect();
            let more = if session.ports.len() > known.len() { ", ..." } else { "" };
            return Err(Failure::usage(
                format!("--capture-at {name}: the lab has nothing of that name"),
                format!("its ports are {}{more}", known.join(", ")),
            ));
        }
        let wanted = |port: &PortInfo| self.capture_at.iter().any(|name| is_port_of(&port.name, name));
        Ok((0..).zip(&session.ports).filter(|(_, port)| wanted(port)).map(|(number, _)| number).collect())
    }

    pub fn failed(&self) -> impl FnOnce(io::Error) -> Failure {
        let place = self.place().unwrap_or(Path::new("to standard output"));
        Failure::io(format!("capture {}", place.display()))
    }
}

fn create(path: &Path) -> Result<Box<dyn Write + Send>, Failure> {
    let file = File::create(path).map_err(Failure::io(format!("capture {}", path.display())))?;
    Ok(Box::new(CaptureFile::new(file)))
}
