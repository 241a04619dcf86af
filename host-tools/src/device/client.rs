//! The host's end of a session.

use std::collections::VecDeque;
use std::time::Duration;

use attoformer_protocol::link::VERSION;
use attoformer_protocol::link::endpoint::Endpoint;
use attoformer_protocol::link::frame::{Frame, Kind, MAX_PAYLOAD, Reader, Received};
use attoformer_protocol::link::message::{Reply, Request};

use super::error::DeviceError;
use super::transport::Transport;

/// Time between two requests to connect, milliseconds.
const RETRY: u32 = 250;
/// A board that has not answered for so long is not there, milliseconds. Longer than a dead host occupies a board.
const CONNECT: u32 = 6_000;
/// Time between two signs of life, milliseconds.
const PING: u32 = 500;
/// A board may compute for so long without an answer, milliseconds.
const SILENT: u32 = 60_000;
/// Longest wait for one byte.
const WAIT: Duration = Duration::from_millis(20);

/// A session with a board.
pub struct Client<T: Transport> {
    transport: T,
    port: String,
    reader: Reader,
    endpoint: Endpoint,
    inbox: VecDeque<Vec<u8>>,
    pinged_at: u32,
}

impl Transport for Box<dyn Transport> {
    fn read(&mut self, bytes: &mut [u8], wait: Duration) -> std::io::Result<usize> {
        (**self).read(bytes, wait)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        (**self).write(bytes)
    }

    fn millis(&mut self) -> u32 {
        (**self).millis()
    }
}

impl<T: Transport> Client<T> {
    /// Opens a session over a line. `port` names it in errors; `session` is any number that an earlier session did not have.
    ///
    /// # Errors
    /// [`DeviceError::NoAnswer`], [`DeviceError::Busy`], [`DeviceError::Version`], [`DeviceError::Line`].
    pub fn connect(transport: T, port: &str, session: u16) -> Result<Self, DeviceError> {
        let mut client = Self {
            transport,
            port: port.to_owned(),
            reader: Reader::new(),
            endpoint: Endpoint::new(session, 0),
            inbox: VecDeque::new(),
            pinged_at: 0,
        };
        let start = client.transport.millis();
        let mut was_refused = false;
        loop {
            let now = client.transport.millis();
            if now.wrapping_sub(start) > CONNECT {
                let port = port.to_owned();
                return Err(if was_refused { DeviceError::Busy { port } } else { DeviceError::NoAnswer { port } });
            }
            // A zero byte ends whatever noise the board has taken for the start of a frame.
            let mut line = vec![0];
            Frame { kind: Kind::Connect, session, number: 0, payload: &[VERSION] }.encode(&mut |bytes| line.extend_from_slice(bytes));
            client.write(&line)?;
            match client.answer(now, session)? {
                Some((Kind::Accept, _)) => break,
                Some((_, board)) if board != VERSION => {
                    return Err(DeviceError::Version { port: port.to_owned(), board, host: VERSION });
                }
                Some(_) => was_refused = true,
                None => {}
            }
            client.wait_until(now.wrapping_add(RETRY))?;
        }
        let now = client.transport.millis();
        (client.endpoint, client.pinged_at) = (Endpoint::new(session, now), now);
        Ok(client)
    }

    /// Waits until a time, and drops what arrives before.
    fn wait_until(&mut self, time: u32) -> Result<(), DeviceError> {
        while (time.wrapping_sub(self.transport.millis()) as i32) > 0 {
            self.read()?;
        }
        Ok(())
    }

    /// The answer to a request to connect, and the board's version, if it arrives in time.
    fn answer(&mut self, since: u32, session: u16) -> Result<Option<(Kind, u8)>, DeviceError> {
        while self.transport.millis().wrapping_sub(since) < RETRY {
            for byte in self.read()? {
                if let Some(Received::Frame(frame)) = self.reader.push(byte)
                    && frame.session == session
                    && matches!(frame.kind, Kind::Accept | Kind::Refuse)
                {
                    return Ok(Some((frame.kind, frame.payload.first().copied().unwrap_or(0))));
                }
            }
        }
        Ok(None)
    }

    /// The port, for errors.
    #[must_use]
    pub fn port(&self) -> &str {
        &self.port
    }

    /// Messages that were sent again so far.
    #[must_use]
    pub fn resent(&self) -> u32 {
        self.endpoint.resent()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        self.transport.write(bytes).map_err(|source| DeviceError::Line { port: self.port.clone(), source })
    }

    fn read(&mut self) -> Result<Vec<u8>, DeviceError> {
        let mut bytes = [0; 512];
        let read = self.transport.read(&mut bytes, WAIT).map_err(|source| DeviceError::Line { port: self.port.clone(), source })?;
        Ok(bytes[..read].to_vec())
    }

    /// Handles what has arrived, sends again what was lost, shows that the session lives.
    fn poll(&mut self) -> Result<(), DeviceError> {
        let bytes = self.read()?;
        let now = self.transport.millis();
        let (mut line, mut ended) = (Vec::new(), false);
        let mut write = |bytes: &[u8]| line.extend_from_slice(bytes);
        for byte in bytes {
            let Some(received) = self.reader.push(byte) else { continue };
            if let Received::Frame(frame) = received
                && frame.kind == Kind::Close
                && frame.session == self.endpoint.session()
            {
                ended = true;
            }
            if let Some(message) = self.endpoint.receive(received, now, &mut write) {
                self.inbox.push_back(message.to_vec());
            }
        }
        self.endpoint.tick(now, &mut write);
        if now.wrapping_sub(self.pinged_at) >= PING {
            self.pinged_at = now;
            self.endpoint.ping(&mut write);
        }
        self.write(&line)?;
        let port = || self.port.clone();
        if ended {
            return Err(DeviceError::Ended { port: port() });
        }
        if self.endpoint.silent_for(now) > SILENT {
            return Err(DeviceError::Silent { port: port() });
        }
        Ok(())
    }

    /// Sends a request; waits while too many are on the way.
    ///
    /// # Errors
    /// [`DeviceError::Line`], [`DeviceError::Silent`], [`DeviceError::Ended`].
    pub fn send(&mut self, request: &Request<'_>) -> Result<(), DeviceError> {
        let mut buffer = [0; MAX_PAYLOAD];
        let bytes = postcard::to_slice(request, &mut buffer).map_err(|_| DeviceError::Reply { port: self.port.clone() })?;
        while !self.endpoint.can_send() {
            self.poll()?;
        }
        let (now, mut line) = (self.transport.millis(), Vec::new());
        self.endpoint.send(bytes, now, &mut |bytes| line.extend_from_slice(bytes));
        self.write(&line)
    }

    /// Waits for the next reply and passes it to `take`.
    ///
    /// # Errors
    /// [`DeviceError::Refused`] for a failure that the board reports; [`DeviceError::Reply`]; those of the line.
    pub fn receive<R>(&mut self, take: impl FnOnce(Reply<'_>) -> R) -> Result<R, DeviceError> {
        let message = loop {
            match self.inbox.pop_front() {
                Some(message) => break message,
                None => self.poll()?,
            }
        };
        match postcard::from_bytes(&message) {
            Ok(Reply::Failed(fault)) => Err(DeviceError::Refused { port: self.port.clone(), sentence: fault.to_string() }),
            Ok(reply) => Ok(take(reply)),
            Err(_) => Err(self.misunderstood()),
        }
    }

    /// Sends a request and takes its one reply.
    ///
    /// # Errors
    /// Those of [`Client::send`] and [`Client::receive`]; [`DeviceError::Reply`] where `take` finds another reply than it expects.
    pub fn ask<R>(&mut self, request: &Request<'_>, take: impl FnOnce(Reply<'_>) -> Option<R>) -> Result<R, DeviceError> {
        self.send(request)?;
        self.receive(take)?.ok_or_else(|| self.misunderstood())
    }

    /// The error of a reply that does not belong to the request.
    #[must_use]
    pub fn misunderstood(&self) -> DeviceError {
        DeviceError::Reply { port: self.port.clone() }
    }
}

impl<T: Transport> Drop for Client<T> {
    /// Frees the board for the next host.
    fn drop(&mut self) {
        let mut line = Vec::new();
        self.endpoint.close(&mut |bytes| line.extend_from_slice(bytes));
        // A line that is gone frees it as well, after a while.
        let _ = self.transport.write(&line);
    }
}
