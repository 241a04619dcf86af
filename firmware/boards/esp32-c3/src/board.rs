//! The board: clocks and pins.

use attoformer_app::Counts;
use esp_hal::{
    clock::CpuClock,
    gpio::{Level, Output, OutputConfig},
    time::Instant,
    usb::usb_serial_jtag::UsbSerialJtag,
};

use crate::usb::Usb;

/// Time and the LED.
pub struct Board {
    led: Output<'static>,
}

/// Sets up the clocks at full speed, the USB port and the LED.
pub fn start() -> (Board, Usb) {
    let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    // A plain LED; the addressable one of a DevKit stays dark.
    let led = Output::new(chip.GPIO8, Level::Low, OutputConfig::default());
    (Board { led }, Usb::new(UsbSerialJtag::new(chip.USB_DEVICE)))
}

/// Microseconds since the start.
fn micros() -> u64 {
    Instant::now().duration_since_epoch().as_micros()
}

impl attoformer_app::Board for Board {
    fn millis(&mut self) -> u32 {
        (micros() / 1000) as u32
    }

    fn ticks(&mut self) -> u64 {
        micros()
    }

    fn ticks_per_second(&self) -> u32 {
        1_000_000
    }

    fn counts(&self) -> Counts {
        Counts::Time
    }

    fn led(&mut self, on: bool) {
        self.led.set_level(on.into());
    }
}
