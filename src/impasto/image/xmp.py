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
# what XML 1.0 cannot hold even as a reference; in JSON such a character stands only inside a string
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LARGEST = 64 * 2**20  # bytes a compressed manifest may open to


def pack(manifest: str, limit: int | None = None) -> bytes:
    """The packet for a manifest.

    Args:
        manifest: JSON text. A character that XML cannot hold becomes its JSON escape (\\uXXXX), so the
            value is the same.
        limit: bytes the packet may have; a longer one is compressed (zlib, base64). It can still be longer:
            the caller checks.
    Returns:
        UTF-8 XML.
    """
    text = _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", manifest)
    # a parser would turn a bare carriage return into a line feed
    packet = _PACKET.format(tag="manifest", text=escape(text, {"\r": "&#13;"})).encode()
    if limit is None or len(packet) <= limit:
        return packet
    squeezed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return _PACKET.format(tag="manifestZ", text=squeezed).encode()


def unpack(packet: bytes) -> str | None:
    """The manifest in a packet; None where there is none, or where the packet is not sound XML."""
    try:
        root = ET.fromstring(_bare(packet))
    except ET.ParseError:
        return None
    for name, read in (("manifest", str), ("manifestZ", _expand)):
        tag = f"{{{_NAMESPACE}}}{name}"
        for element in root.iter():
            # other programs may rewrite an element as an attribute of its parent
            text = element.text if element.tag == tag else element.get(tag)
            if text is not None:
                return read(text)
    return None


def _bare(packet: bytes) -> bytes:
    """The packet from the first tag to the last: padding and zeros after it are allowed."""
    return packet[max(packet.find(b"<"), 0) : packet.rfind(b">") + 1]


def _expand(text: str) -> str | None:
    expander = zlib.decompressobj()
    try:
        opened = expander.decompress(base64.b64decode(text, validate=True), _LARGEST)
        return opened.decode() if expander.eof else None
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        return None
