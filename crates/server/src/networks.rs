//! Networks of addresses, as configurations write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an address of IPv6 that are one peer's: whoever has one such network has all addresses in it.
const BITS_OF_PEER: u32 = 64;

/// The address by which a peer is told from others.
pub(crate) fn one_peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let network = v6.to_bits() & (u128::MAX << (u128::BITS - BITS_OF_PEER));
            Ipv6Addr::from_bits(network).into()
        }
        address => address,
    }
}

/// A network, e.g. `10.0.0.0/8`; a single address has all bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net {
    address: IpAddr,
    bits: u8,
}

impl Net {
    pub(crate) const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits }
    }

    pub(crate) const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], bits: u8) -> Self {
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), bits }
    }

    pub(crate) const fn of(address: IpAddr) -> Self {
        Self { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let apart = match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(one)) => u128::from(net.to_bits() ^ one.to_bits()) << 96,
            (IpAddr::V6(net), IpAddr::V6(one)) => net.to_bits() ^ one.to_bits(),
            _ => return false,
        };
        u32::from(self.bits) <= apart.leading_zeros()
    }

    pub(crate) fn lies_in(&self, other: &Self) -> bool {
        self.bits >= other.bits && other.contains(self.address)
    }

    /// Reads an address or a network.
    ///
    /// # Errors
    /// Says what is wrong with it, and how it is written.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some((address, bits)) = text.split_once('/') {
            return Self::read(text, address, bits);
        }
        let address = text.parse::<IpAddr>().map_err(|_| {
            format!(
                "`{text}` is no address; write `10.0.0.7`, `10.0.0.0/8`, `fd00::7` or `fd00::/8`"
            )
        })?;
        Ok(Self::of(address))
    }

    /// Reads `10.0.0.0/8`, given in its two parts; `text` is how it was written.
    ///
    /// # Errors
    /// Says what is wrong with it, and how it is written.
    pub(crate) fn read(text: &str, address: &str, bits: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not a network; write it as in `10.0.0.0/8` or `fd00::/8`");
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let whole = Self { address, bits };
        if bits > Self::of(address).bits {
            return Err(wrong());
        }
        let zeros = match address {
            IpAddr::V4(v4) => v4.to_bits().trailing_zeros(),
            IpAddr::V6(v6) => v6.to_bits().trailing_zeros(),
        };
        if zeros < u32::from(Self::of(address).bits - bits) {
            // Who writes `10.1.2.3/8` may mean the one address or the whole network.
            return Err(format!("`{text}` has bits set beyond its first {bits}; {}", wrong()));
        }
        Ok(whole)
    }
}
