//! UARTs of the emulated boards. Receiving wakes the processor; the bytes are taken when the program looks. QEMU holds back what the UART has no room
//! for, so no byte is lost while the program computes. A real UART would need a buffer that an interrupt fills.

use attoformer_app::Line;

/// Address of a UART's registers, and of what wakes the processor.
#[derive(Clone, Copy, Debug)]
pub struct Uart {
    /// Address of its registers.
    pub base: usize,
    /// Number of its receive interrupt; polled on RISC-V.
    pub interrupt: u16,
}

#[cfg(target_arch = "arm")]
impl Uart {
    fn read_register(self, offset: usize) -> u32 {
        let register: *const u32 = core::ptr::with_exposed_provenance(self.base + offset);
        // SAFETY: the board's `main` states the address of a UART, whose registers are always readable.
        unsafe { register.read_volatile() }
    }

    fn write_register(self, offset: usize, value: u32) {
        let register: *mut u32 = core::ptr::with_exposed_provenance_mut(self.base + offset);
        // SAFETY: the board's `main` states the address of a UART, and its registers change nothing in memory.
        unsafe { register.write_volatile(value) }
    }
}

impl Line for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let mut taken = 0;
        for place in bytes {
            let Some(byte) = self.receive() else { break };
            *place = byte;
            taken += 1;
        }
        taken
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.send(byte));
    }
}

/// The CMSDK APB UART of Arm's MPS2 and MPS3 boards.
#[cfg(target_arch = "arm")]
mod cmsdk {
    use super::Uart;
    use cortex_m::peripheral::NVIC;

    const DATA: usize = 0x0;
    const STATE: usize = 0x4;
    const CONTROL: usize = 0x8;
    const INTERRUPT: usize = 0xc;
    const DIVIDER: usize = 0x10;
    const TX_FULL: u32 = 1;
    const RX_FULL: u32 = 2;
    const RX_INTERRUPT: u32 = 2;
    const ENABLE_TX_RX_AND_RX_INTERRUPT: u32 = 0b1011;

    /// The number of an interrupt.
    #[derive(Clone, Copy)]
    struct Number(u16);

    // SAFETY: the number is that of the board's UART, and never changes.
    unsafe impl cortex_m::interrupt::InterruptNumber for Number {
        fn number(self) -> u16 {
            self.0
        }
    }

    impl Uart {
        pub(crate) fn start(self) {
            self.write_register(DIVIDER, 16);
            self.write_register(CONTROL, ENABLE_TX_RX_AND_RX_INTERRUPT);
        }

        pub(super) fn receive(self) -> Option<u8> {
            let has_byte = self.read_register(STATE) & RX_FULL != 0;
            has_byte.then(|| self.read_register(DATA) as u8)
        }

        pub(super) fn send(self, byte: u8) {
            while self.read_register(STATE) & TX_FULL != 0 {}
            self.write_register(DATA, u32::from(byte));
        }

        /// Sleeps until a byte arrives or the clock's interrupt.
        pub(crate) fn wait(self) {
            if self.read_register(STATE) & RX_FULL != 0 {
                return;
            }
            self.write_register(INTERRUPT, RX_INTERRUPT);
            NVIC::unpend(Number(self.interrupt));
            // SAFETY: the handler of the interrupt does nothing but mask it again.
            unsafe { NVIC::unmask(Number(self.interrupt)) };
            cortex_m::asm::wfi();
            NVIC::mask(Number(self.interrupt));
        }
    }

    /// A byte has arrived: the interrupt has woken the processor, and stays masked until the program waits again.
    #[cortex_m_rt::exception]
    unsafe fn DefaultHandler(number: i16) {
        NVIC::mask(Number(number as u16));
    }
}

/// The NS16550 of QEMU's `virt`.
#[cfg(target_arch = "riscv32")]
mod ns16550 {
    use super::Uart;

    const DATA: usize = 0;
    const STATUS: usize = 5;
    const RX_READY: u8 = 1;
    const TX_EMPTY: u8 = 0x20;

    impl Uart {
        /// Its registers have one byte each.
        fn byte(self, offset: usize) -> *mut u8 {
            core::ptr::with_exposed_provenance_mut(self.base + offset)
        }

        pub(crate) fn start(self) {}

        pub(super) fn receive(self) -> Option<u8> {
            // SAFETY: the registers of a UART are always readable.
            let has_byte = unsafe { self.byte(STATUS).read_volatile() } & RX_READY != 0;
            // SAFETY: as above.
            has_byte.then(|| unsafe { self.byte(DATA).read_volatile() })
        }

        pub(super) fn send(self, byte: u8) {
            // SAFETY: the registers of a UART are always readable, and writing them changes nothing in memory.
            unsafe {
                while self.byte(STATUS).read_volatile() & TX_EMPTY == 0 {}
                self.byte(DATA).write_volatile(byte);
            }
        }

        /// Returns at once: the program polls.
        pub(crate) fn wait(self) {}
    }
}
