//! SiLU and GELU (tanh form), computed with a sigmoid from the fixed-point exponential. All intermediate values stay in registers.

use crate::format::types::Activation;
use crate::numeric::exp::{EXP2_NEG, LOG2_E_Q31};
use crate::numeric::{gelu_erf, relu, squared_relu};
use core::arch::naked_asm;

/// Activation in place: [`super::super::scalar::activate`].
pub(super) fn activate(activation: Activation, x: &mut [f32]) {
    let function = match activation {
        Activation::Silu => silu,
        Activation::GeluTanh => gelu_tanh,
        Activation::Relu => return each(x, relu),
        Activation::GeluErf => return each(x, gelu_erf),
        Activation::SquaredRelu => return each(x, squared_relu),
    };
    if !x.is_empty() {
        let ends = x.as_mut_ptr_range();
        // SAFETY: inputs and outputs are one slice of at least one element; each element is read before it is written.
        unsafe { function(&Arguments::new(ends.start, ends.start, [ends.start, ends.end])) }
    }
}

fn each(x: &mut [f32], of: impl Fn(f32) -> f32) {
    x.iter_mut().for_each(|x| *x = of(*x));
}

/// Activated gate times up projection: [`super::super::scalar::gate`].
pub(super) fn gate(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    let count = gate.len().min(up.len()).min(out.len());
    if activation != Activation::Silu {
        return gate_in_two_passes(activation, gate, up, out);
    }
    if count > 0 {
        let start = out.as_mut_ptr();
        let arguments = Arguments::new(gate.as_ptr(), up.as_ptr(), [start, start.wrapping_add(count)]);
        // SAFETY: each of the three slices has `count` elements, at least one.
        unsafe { silu_gate(&arguments) }
    }
}

/// Gates whose activation has no loop of its own with a product. The bits are those of one pass: a factor in memory is rounded like one in a register.
fn gate_in_two_passes(activation: Activation, gate: &[f32], up: &[f32], out: &mut [f32]) {
    let count = gate.len().min(up.len()).min(out.len());
    let out = out.get_mut(..count).unwrap_or_default();
    out.iter_mut().zip(gate).for_each(|(out, &gate)| *out = gate);
    activate(activation, out);
    out.iter_mut().zip(up).for_each(|(out, &up)| *out *= up);
}

/// The argument block of the functions below; the assembly reads it by offset.
#[repr(C)]
struct Arguments {
    gate: *const f32,
    up: *const f32,
    out: *mut f32,
    out_end: *mut f32,
    exp2: [i32; 6],
    log2_e: u32,
}

impl Arguments {
    fn new(gate: *const f32, up: *const f32, [out, out_end]: [*mut f32; 2]) -> Self {
        Arguments { gate, up, out, out_end, exp2: EXP2_NEG, log2_e: LOG2_E_Q31 as u32 }
    }
}

/// The start of each function. r0 gate, r1 up, r2 outputs, r3 their end, r4 bits and polynomial, r5 fraction, r6-r11 coefficients, r12 fixed
/// point, lr log2(e); s8 is 1.
macro_rules! enter {
    () => {
        "push {{r4-r11, lr}}
        vmov.f32 s8, #1.0
        ldm.w r0, {{r0, r1, r2, r3, r6, r7, r8, r9, r10, r11, lr}}"
    };
}

/// s0 = sigmoid of the float whose bits are in r4: `exp_neg_q30`, then `numerator / (1 + e)`.
///
/// The mantissa is one bit higher than in `exp_neg_q30` and is shifted one bit further. A magnitude of 32 or more has no shift: it takes the path
/// through label 9 back to 8. The sign stays in the flags, which no instruction in between changes.
macro_rules! sigmoid {
    () => {
        "lsl r12, r4, #8
        ubfx r5, r4, #23, #8
        rsbs r5, r5, #132
        ble 9f
        orr r12, r12, #0x80000000
        lsr r12, r12, r5
        8:
        cmp r4, #0
        umull r5, r12, r12, lr
        lsl.w r5, r12, #7
        eor r5, r5, #0x80000000
        lsr.w r12, r12, #25
        smmla r4, r5, r11, r10
        smmla r4, r5, r4, r9
        smmla r4, r5, r4, r8
        smmla r4, r5, r4, r7
        smmla r4, r5, r4, r6
        lsr.w r4, r4, r12
        vmov s0, r4
        vcvt.f32.u32 s0, s0, #30
        vadd.f32 s1, s8, s0
        it pl
        vmovpl.f32 s0, s8
        vdiv.f32 s0, s0, s1"
    };
}

/// The end of each function.
macro_rules! leave {
    () => {
        "cmp r2, r3
        bne 2b
        pop {{r4-r11, pc}}
        9:
        mvn r12, #0x80000000
        b 8b"
    };
}

/// `out = gate * sigmoid(gate) * up`.
///
/// # Safety
/// The arguments name three slices of equal length, at least one element.
#[unsafe(naked)]
unsafe extern "C" fn silu_gate(arguments: &Arguments) {
    naked_asm!(
        instructions!(),
        enter!(),
        "2:",
        "ldr r4, [r0], #4",
        sigmoid!(),
        "vldr s2, [r0, #-4]",
        "vldm r1!, {{s3}}",
        "vmul.f32 s0, s2, s0",
        "vmul.f32 s0, s0, s3",
        "vstm r2!, {{s0}}",
        leave!(),
    )
}

/// `out = gate * sigmoid(gate)`.
///
/// # Safety
/// The arguments name inputs and outputs of equal length, at least one element.
#[unsafe(naked)]
unsafe extern "C" fn silu(arguments: &Arguments) {
    naked_asm!(
        instructions!(),
        enter!(),
        "2:",
        "ldr r4, [r0], #4",
        sigmoid!(),
        "vldr s2, [r0, #-4]",
        "vmul.f32 s0, s2, s0",
        "vstm r2!, {{s0}}",
        leave!(),
    )
}

/// `out = gate * sigmoid(gate * (1.5957692 + 0.071354814 * gate^2))`.
///
/// # Safety
/// The arguments name inputs and outputs of equal length, at least one element.
#[unsafe(naked)]
unsafe extern "C" fn gelu_tanh(arguments: &Arguments) {
    naked_asm!(
        instructions!(),
        enter!(),
        "movw r4, #{outer} & 0xffff",
        "movt r4, #{outer} >> 16",
        "movw r5, #{inner} & 0xffff",
        "movt r5, #{inner} >> 16",
        "vmov s9, s10, r4, r5",
        "2:",
        "vldm r0!, {{s2}}",
        "vmul.f32 s0, s2, s2",
        "vmul.f32 s0, s10, s0",
        "vadd.f32 s0, s9, s0",
        "vmul.f32 s0, s2, s0",
        "vmov r4, s0",
        sigmoid!(),
        "vmul.f32 s0, s2, s0",
        "vstm r2!, {{s0}}",
        leave!(),
        outer = const 1.595_769_2f32.to_bits(),
        inner = const 0.071_354_814f32.to_bits(),
    )
}
