"""The XMP packet that carries a manifest inside a picture."""

import base64
import binascii
import re
import xml.etree.ElementTree as ET
import zlib
from xml.sax.saxutils import escape

_NAMESPACE = "urn:impasto:1.0/"
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'<rdf:Description rdf:about="" xmlns:impasto="{_NAMESPACE}">'
    "<impasto:{tag}>{text}</impasto:{tag}>"
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
# Characters that XML 1.0 cannot hold even as a reference. In JSON they occur only inside strings.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LARGEST = 64 * 2**20  # the most bytes that a compressed manifest may expand to


def pack(manifest: str, limit: int | None = None) -> bytes:
    """Put a manifest into an XMP packet.

    Args:
        manifest: JSON text. A character that XML cannot hold becomes its JSON escape (\\uXXXX), which means
            the same.
        limit: bytes above which the packet is compressed (zlib, base64). It may still be longer; the caller
            checks.
    Returns:
        UTF-8 XML.
    """
    text = _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", manifest)
    # An XML parser would turn a bare carriage return into a line feed.
    packet = _PACKET.format(tag="manifest", text=escape(text, {"\r": "&#13;"})).encode()
    if limit is None or len(packet) <= limit:
        return packet
    squeezed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return _PACKET.format(tag="manifestZ", text=squeezed).encode()


def unpack(packet: bytes) -> str | None:
    """Extract the manifest from a packet; None if it has none or is not valid XML."""
    try:
        root = ET.fromstring(_bare(packet))
    except ET.ParseError:
        return None
    for name, read in (("manifest", str), ("manifestZ", _expand)):
        tag = f"{{{_NAMESPACE}}}{name}"
        for element in root.iter():
            # Other programs may rewrite an element as an attribute of its parent.
            text = element.text if element.tag == tag else element.get(tag)
            if text is not None:
                return read(text)
    return None


def _bare(packet: bytes) -> bytes:
    """Cut a packet to its first and last tag: padding and zeros may follow it."""
    return packet[max(packet.find(b"<"), 0) : packet.rfind(b">") + 1]


def _expand(text: str) -> str | None:
    """Decompress a manifest; None if it is damaged or larger than `_LARGEST`."""
    expander = zlib.decompressobj()
    try:
        opened = expander.decompress(base64.b64decode(text, validate=True), _LARGEST)
        return opened.decode() if expander.eof else None
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        return None
