"""XMP: what a photo carried of it goes on, and that a model has edited the picture is added."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

# IPTC NewsCodes, digital source type of a picture edited with a generative model:
# https://cv.iptc.org/newscodes/digitalsourcetype/
DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)

MAX_BYTES = 60_000
"""More than fits into one segment of a JPEG is not carried on."""

MAX_DEPTH = 50
"""Nor is what is nested deeper than any tool writes, which would take as deep a stack to write."""

_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_TIFF = "http://ns.adobe.com/tiff/1.0/"
_NOTE = "http://ns.adobe.com/xmp/note/"
_META = "adobe:ns:meta/"

_PREFIXES = {
    "x": _META,
    "rdf": _RDF,
    "xmp": _XMP,
    "exif": _EXIF,
    "tiff": _TIFF,
    "Iptc4xmpExt": _EXT,
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
}

_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="w"?>'

FRESH_PACKET = f"""{_BEGIN}
<x:xmpmeta xmlns:x="{_META}">
 <rdf:RDF xmlns:rdf="{_RDF}">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="{_EXT}"
    Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>
{_END}""".encode()
"""Says that a picture was edited with a generative model, and nothing else."""

_SOURCE_TYPE = f"{{{_EXT}}}DigitalSourceType"

# True only of the old picture: its small copy, how it was to be turned, and more of its XMP.
_OF_THE_OLD_PICTURE = {
    f"{{{_XMP}}}Thumbnails",
    f"{{{_TIFF}}}Orientation",
    f"{{{_NOTE}}}HasExtendedXMP",
    _SOURCE_TYPE,
}


_POSITION = re.compile(r"(\{[^}]*\})?(gps|latitude$|longitude$)", re.IGNORECASE)
"""exif:GPSLatitude, also in IPTC's places; drone-dji:GpsLatitude; other tools' Latitude."""


def edited_packet(original: bytes | None, keep_gps: bool) -> bytes:
    """Return the XMP packet of an edited picture: the photo's own, if it can be read, marked.

    Without keep_gps every position is left out, whoever wrote it and however deep it lies.
    """
    root = None if original is None else _parsed(original)
    if root is None:
        return FRESH_PACKET
    descriptions = root.findall(f".//{{{_RDF}}}RDF/{{{_RDF}}}Description")
    for description in descriptions:
        _remove(description, lambda name: name in _OF_THE_OLD_PICTURE)
    if not keep_gps:
        for element in [*root.iter()]:
            _remove(element, lambda name: _POSITION.match(name) is not None)
    descriptions[0].set(_SOURCE_TYPE, DIGITAL_SOURCE_TYPE)
    for prefix, uri in _PREFIXES.items():
        ET.register_namespace(prefix, uri)
    body = ET.tostring(root, encoding="unicode")
    written = f"{_BEGIN}\n{body}\n{_END}".encode()
    return FRESH_PACKET if len(written) > MAX_BYTES else written


def _parsed(packet: bytes) -> ET.Element | None:
    """Parse a packet that has the usual form; None for any other."""
    # No entities, which could grow without end, in UTF-16 neither.
    if len(packet) > MAX_BYTES or b"<!" in packet.replace(b"\0", b""):
        return None
    try:
        root = ET.fromstring(packet.strip(b"\x00 \r\n\t"))
    except (ET.ParseError, ValueError, LookupError):
        return None
    if root.tag == f"{{{_RDF}}}RDF":
        wrapped = ET.Element(f"{{{_META}}}xmpmeta")
        wrapped.append(root)
        root = wrapped
    if _depth(root) > MAX_DEPTH or root.find(f".//{{{_RDF}}}RDF/{{{_RDF}}}Description") is None:
        return None
    return root


def _depth(root: ET.Element) -> int:
    level, depth = [root], 0
    while level:
        level, depth = [child for element in level for child in element], depth + 1
    return depth


def _remove(element: ET.Element, unwanted: Callable[[str], bool]) -> None:
    """Take attributes and children away whose qualified names are not wanted."""
    for name in [name for name in element.keys() if unwanted(name)]:  # noqa: SIM118
        del element.attrib[name]
    for child in [child for child in element if unwanted(child.tag)]:
        element.remove(child)
