//! A V4L2 camera: pictures of YUYV through memory-mapped buffers, as RGB. Source: the kernel's
//! Documentation/userspace-api/media/v4l (capability, format, buffers) and include/uapi/linux/videodev2.h.
//!
//! Structures are those of 32- and 64-bit little-endian Linux; sizes and request numbers are tested against the header's.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use crate::picture::Pixels;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Setter, Updater, ioctl, opcode};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Buffers asked for: one filled while another is read.
const BUFFERS: u32 = 2;
const CAPTURE: u32 = 1; // V4L2_BUF_TYPE_VIDEO_CAPTURE
const MAPPED: u32 = 1; // V4L2_MEMORY_MMAP
const YUYV: u32 = u32::from_le_bytes(*b"YUYV");
const CAN_CAPTURE: u32 = 1; // V4L2_CAP_VIDEO_CAPTURE
const CAN_STREAM: u32 = 0x0400_0000; // V4L2_CAP_STREAMING

#[repr(C)]
struct Capability {
    names: [u8; 80],
    version: u32,
    capabilities: u32,
    device_caps: u32,
    reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Format {
    kind: u32,
    /// The union holds pointers in other members.
    align: [usize; 0],
    width: u32,
    height: u32,
    pixel_format: u32,
    field: u32,
    bytes_per_line: u32,
    image_bytes: u32,
    rest: [u8; 200 - 24],
}

#[repr(C)]
struct Request {
    count: u32,
    kind: u32,
    memory: u32,
    rest: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Buffer {
    index: u32,
    kind: u32,
    bytes_used: u32,
    flags: u32,
    field: u32,
    time: [isize; 2],
    time_code: [u32; 4],
    sequence: u32,
    memory: u32,
    /// Offset to map from; the union also holds a pointer.
    place: usize,
    length: u32,
    rest: [u32; 2],
}

impl Buffer {
    fn at(index: u32) -> Self {
        Buffer { index, kind: CAPTURE, memory: MAPPED, ..Buffer::default() }
    }

    /// The offset, in the first four bytes of the union.
    fn offset(&self) -> u32 {
        self.place as u32 // little-endian
    }
}

const QUERY_CAPABILITY: Opcode = opcode::read::<Capability>(b'V', 0);
const SET_FORMAT: Opcode = opcode::read_write::<Format>(b'V', 5);
const REQUEST_BUFFERS: Opcode = opcode::read_write::<Request>(b'V', 8);
const QUERY_BUFFER: Opcode = opcode::read_write::<Buffer>(b'V', 9);
const QUEUE: Opcode = opcode::read_write::<Buffer>(b'V', 15);
const DEQUEUE: Opcode = opcode::read_write::<Buffer>(b'V', 17);
const STREAM_ON: Opcode = opcode::write::<u32>(b'V', 18);
const STREAM_OFF: Opcode = opcode::write::<u32>(b'V', 19);

/// A camera that streams.
pub struct Camera {
    device: OwnedFd,
    format: Format,
    buffers: Vec<Mapping>,
}

impl Camera {
    /// Opens a camera, asks for a picture size (it may choose another), and starts it.
    pub fn open(path: &Path, width: usize, height: usize) -> Result<Self> {
        let place = &path.display();
        let device = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Error::new(format!("cannot open {place}: {e}")).hint("`ls /dev/video*` shows the cameras"))?;
        let failed = |what: &'static str| move |e: Errno| Error::new(format!("{place}: {what}: {e}"));
        // SAFETY: the structure is the one that the request number stands for.
        let can: Capability = unsafe { ioctl(&device, Getter::<QUERY_CAPABILITY, _>::new()) }
            .map_err(|e| failed("is no camera")(e).hint("`ls /dev/video*` shows the cameras"))?;
        if can.device_caps & (CAN_CAPTURE | CAN_STREAM) != CAN_CAPTURE | CAN_STREAM {
            return Err(Error::new(format!("{place} gives no pictures")).hint("try the next /dev/video device"));
        }
        let mut format = Format {
            kind: CAPTURE,
            align: [],
            width: width as u32,
            height: height as u32,
            pixel_format: YUYV,
            field: 0,
            bytes_per_line: 0,
            image_bytes: 0,
            rest: [0; 176],
        };
        // SAFETY: as above.
        unsafe { ioctl(&device, Updater::<SET_FORMAT, _>::new(&mut format)) }.map_err(failed("set format"))?;
        if format.pixel_format != YUYV || format.bytes_per_line < 2 * format.width || format.width < 2 {
            return Err(Error::new(format!("{place} does not give YUYV"))
                .hint("pipe its pictures in with --frames, for example from ffmpeg or rpicam-vid as raw RGB"));
        }
        let mut request = Request { count: BUFFERS, kind: CAPTURE, memory: MAPPED, rest: [0; 2] };
        // SAFETY: as above.
        unsafe { ioctl(&device, Updater::<REQUEST_BUFFERS, _>::new(&mut request)) }.map_err(failed("buffers"))?;
        let mut camera = Camera { device, format, buffers: Vec::new() };
        for index in 0..request.count {
            let mut buffer = Buffer::at(index);
            // SAFETY: as above.
            unsafe { ioctl(&camera.device, Updater::<QUERY_BUFFER, _>::new(&mut buffer)) }.map_err(failed("buffer"))?;
            camera.buffers.push(Mapping::new(&camera.device, &buffer).map_err(failed("map a buffer"))?);
            camera.queue(index).map_err(failed("queue a buffer"))?;
        }
        // SAFETY: as above.
        unsafe { ioctl(&camera.device, Setter::<STREAM_ON, _>::new(CAPTURE)) }.map_err(failed("start"))?;
        Ok(camera)
    }

    /// Waits for the next picture.
    pub fn picture(&mut self) -> Result<Pixels> {
        let failed = |e: Errno| Error::new(format!("the camera stopped: {e}")).hint("is it still plugged in?");
        let mut buffer = Buffer::at(0);
        // SAFETY: the structure is the one that the request number stands for.
        unsafe { ioctl(&self.device, Updater::<DEQUEUE, _>::new(&mut buffer)) }.map_err(failed)?;
        let (width, height) = (self.format.width as usize & !1, self.format.height as usize);
        let line = self.format.bytes_per_line as usize;
        let bytes = self.buffers.get(buffer.index as usize).and_then(|b| rgb(b.bytes(), width, height, line));
        self.queue(buffer.index).map_err(failed)?;
        let bytes = bytes.ok_or_else(|| Error::new("the camera gave a picture of another size than it said"))?;
        Ok(Pixels { width, height, channels: 3, bytes })
    }

    fn queue(&self, index: u32) -> rustix::io::Result<()> {
        let mut buffer = Buffer::at(index);
        // SAFETY: the structure is the one that the request number stands for.
        unsafe { ioctl(&self.device, Updater::<QUEUE, _>::new(&mut buffer)) }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // Nothing to do where it fails: closing the device stops it too.
        // SAFETY: as above.
        let _ = unsafe { ioctl(&self.device, Setter::<STREAM_OFF, _>::new(CAPTURE)) };
    }
}

/// A buffer of the camera in our memory.
struct Mapping(*mut u8, usize);

impl Mapping {
    fn new(device: &OwnedFd, buffer: &Buffer) -> rustix::io::Result<Self> {
        let length = buffer.length as usize;
        let (protection, place) = (ProtFlags::READ | ProtFlags::WRITE, std::ptr::null_mut());
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start = unsafe { mmap(place, length, protection, MapFlags::SHARED, device, buffer.offset().into()) }?;
        Ok(Mapping(start.cast(), length))
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: mapped until drop; the camera does not write to a buffer that is not queued.
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, once.
        let _ = unsafe { munmap(self.0.cast(), self.1) };
    }
}

/// YUYV (two pixels in four bytes, limited range, BT.601) to RGB; `None` when `bytes` are too few.
fn rgb(bytes: &[u8], width: usize, height: usize, line: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(width * height * 3);
    for row in 0..height {
        for pair in bytes.get(row * line..)?.get(..2 * width)?.as_chunks::<4>().0 {
            let [y0, u, y1, v] = pair.map(i32::from);
            for y in [y0, y1] {
                let (c, d, e) = (298 * (y - 16), u - 128, v - 128);
                let rgb = [c + 409 * e, c - 100 * d - 208 * e, c + 516 * d];
                out.extend(rgb.map(|sum| ((sum + 128) >> 8).clamp(0, 255) as u8));
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_and_requests_are_those_of_the_kernel_header() {
        // Printed by a C program that includes linux/videodev2.h, for x86-64 and aarch64, and for 32-bit Arm.
        let wide = cfg!(target_pointer_width = "64");
        let sizes = [size_of::<Capability>(), size_of::<Format>(), size_of::<Request>(), size_of::<Buffer>()];
        assert_eq!(sizes, if wide { [104, 208, 20, 88] } else { [104, 204, 20, 68] });
        let requests = [QUERY_CAPABILITY, SET_FORMAT, REQUEST_BUFFERS, QUERY_BUFFER, QUEUE, DEQUEUE];
        assert_eq!(
            requests,
            if wide {
                [0x8068_5600, 0xc0d0_5605, 0xc014_5608, 0xc058_5609, 0xc058_560f, 0xc058_5611]
            } else {
                [0x8068_5600, 0xc0cc_5605, 0xc014_5608, 0xc044_5609, 0xc044_560f, 0xc044_5611]
            }
        );
        assert_eq!([STREAM_ON, STREAM_OFF], [0x4004_5612, 0x4004_5613]);
        let offsets = [std::mem::offset_of!(Format, pixel_format), std::mem::offset_of!(Capability, device_caps)];
        assert_eq!(offsets, if wide { [16, 88] } else { [12, 88] });
        let offsets = [std::mem::offset_of!(Buffer, place), std::mem::offset_of!(Buffer, length)];
        assert_eq!(offsets, if wide { [64, 72] } else { [52, 56] });
    }

    #[test]
    fn colours_convert() {
        // BT.601, limited range: black, white; red is Y 81, U 90, V 240.
        assert_eq!(rgb(&[16, 128, 235, 128], 2, 1, 4).unwrap(), [0, 0, 0, 255, 255, 255]);
        let red = rgb(&[81, 90, 81, 240], 2, 1, 4).unwrap();
        assert!(red[0] >= 254 && red[1] <= 1 && red[2] <= 1, "{red:?}");
        // Lines may be longer than the picture; too few bytes are no picture.
        assert_eq!(rgb(&[16, 128, 16, 128, 9, 9, 16, 128, 16, 128], 2, 2, 6).unwrap(), [0; 12]);
        assert_eq!(rgb(&[16, 128, 16], 2, 1, 4), None);
    }

    #[test]
    fn what_is_no_camera_is_an_error_with_a_hint() {
        for path in ["/dev/null", "/no/such/device"] {
            let error = Camera::open(Path::new(path), 640, 480).err().unwrap().to_string();
            assert!(error.contains(path) && error.contains("\nhint: "), "{error}");
        }
    }
}
