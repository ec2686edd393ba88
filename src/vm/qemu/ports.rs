//! The slots that disks can be plugged into while the guest runs: root ports of the PCIe bus.

/// How many there are. Each makes the guest boot a little longer.
pub(in crate::vm) const PORTS: u32 = 24;
/// How many disks a machine has room for when it boots: beside those in the ports, one in each of the
/// 32 slots of the bus that neither the chipset (two), the ports (eight to a slot) nor our two other
/// devices take.
pub(in crate::vm) const MOST_DISKS: usize = (PORTS + 32 - 2 - PORTS / 8 - 2) as usize;

/// The slot of the first ports, and of the last ones: eight share a device of the PCIe bus.
const FIRST_ROOT_PORT: u32 = 0x10;
pub(super) const LAST_ROOT_PORT: usize = (FIRST_ROOT_PORT + (PORTS - 1) / 8) as usize;

/// The argument that makes this port.
pub(super) fn root_port(port: u32) -> String {
    let (device, function) = (FIRST_ROOT_PORT + port / 8, port % 8);
    let shared = if function == 0 { "on" } else { "off" };
    format!(
        "pcie-root-port,id={},chassis={},slot={port},addr={device:x}.{function},multifunction={shared}",
        port_id(port),
        port + 1
    )
}

/// The bus below this port.
pub(super) fn port_id(port: u32) -> String {
    format!("port{port}")
}
