//! Bytes to and from a board: serial ports and TCP.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::error::DeviceError;

/// Speed of a UART, baud. USB CDC has no speed.
const BAUD: u32 = 115_200;
/// Longest wait until a serial port takes bytes.
const WRITE: Duration = Duration::from_secs(5);
/// Longest wait for a TCP connection.
const CONNECT: Duration = Duration::from_secs(5);

/// A byte line to a board, and the time on it.
pub trait Transport {
    /// Takes bytes that have arrived; waits for the first one at most so long. 0: none arrived.
    ///
    /// # Errors
    /// The line is gone.
    fn read(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize>;

    /// Sends bytes.
    ///
    /// # Errors
    /// The line is gone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Milliseconds since some start; wraps.
    fn millis(&mut self) -> u32;
}

/// An open port: `tcp:HOST:PORT`, or the name of a serial port.
///
/// # Errors
/// [`DeviceError::Address`], [`DeviceError::Line`].
pub fn open(port: &str) -> Result<Box<dyn Transport>, DeviceError> {
    let line = |source| DeviceError::Line { port: port.to_owned(), source };
    let start = Instant::now();
    if let Some(address) = port.strip_prefix("tcp:") {
        let bad = || DeviceError::Address { port: port.to_owned() };
        let address = address.to_socket_addrs().ok().and_then(|mut found| found.next()).ok_or_else(bad)?;
        let stream = TcpStream::connect_timeout(&address, CONNECT).map_err(line)?;
        stream.set_nodelay(true).map_err(line)?;
        return Ok(Box::new(Tcp { stream, start }));
    }
    let serial = serialport::new(port, BAUD).timeout(Duration::from_millis(10)).open().map_err(|error| line(error.into()))?;
    Ok(Box::new(Serial { serial, start }))
}

struct Tcp {
    stream: TcpStream,
    start: Instant,
}

impl Transport for Tcp {
    fn read(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match self.stream.read(bytes) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was closed")),
            result => or_nothing(result),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn millis(&mut self) -> u32 {
        self.start.elapsed().as_millis() as u32
    }
}

struct Serial {
    serial: Box<dyn serialport::SerialPort>,
    start: Instant,
}

impl Transport for Serial {
    fn read(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.serial.set_timeout(wait.max(Duration::from_millis(1)))?;
        or_nothing(self.serial.read(bytes))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        // The time-out is that of reads as well, which is short.
        self.serial.set_timeout(WRITE)?;
        self.serial.write_all(bytes)
    }

    fn millis(&mut self) -> u32 {
        self.start.elapsed().as_millis() as u32
    }
}

/// A read that timed out has read nothing.
fn or_nothing(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
        result => result,
    }
}
