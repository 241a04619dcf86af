//! Boards on USB, by their vendor and product ids.

use attoformer_protocol::boards::BOARDS;
use serde::Serialize;
use serialport::{SerialPortInfo, SerialPortType, available_ports};

use super::error::DeviceError;

/// A port and the board on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Name of the port, for `--port`.
    pub port: String,
    /// The board. Several boards share the ids of a debugger's serial port: all of their names.
    pub board: String,
}

/// The boards that are connected.
#[must_use]
pub fn list() -> Vec<Port> {
    // Without access to the list there is no board that could be opened.
    available_ports().unwrap_or_default().into_iter().filter_map(board_on).collect()
}

fn board_on(info: SerialPortInfo) -> Option<Port> {
    let SerialPortType::UsbPort(usb) = info.port_type else { return None };
    let names: Vec<&str> = BOARDS.iter().filter(|board| board.usb.contains(&(usb.vid, usb.pid))).map(|board| board.name).collect();
    (!names.is_empty()).then(|| Port { port: info.port_name, board: names.join(" or ") })
}

/// The port that was named, or that of the one board that is connected.
///
/// # Errors
/// [`DeviceError::NotFound`], [`DeviceError::Several`].
pub fn choose(named: Option<&str>) -> Result<String, DeviceError> {
    if let Some(port) = named {
        return Ok(port.to_owned());
    }
    let mut found = list();
    match found.len() {
        0 => Err(DeviceError::NotFound),
        1 => Ok(found.remove(0).port),
        _ => Err(DeviceError::Several { ports: found.into_iter().map(|found| found.port).collect::<Vec<_>>().join(", ") }),
    }
}
