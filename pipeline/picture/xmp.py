"""XMP: what a photo carried of it goes on, and that a model has edited the picture is added."""

from __future__ import annotations

import xml.etree.ElementTree as ET

# IPTC NewsCodes, digital source type of a picture edited with a generative model:
# https://cv.iptc.org/newscodes/digitalsourcetype/
DIGITAL_SOURCE_TYPE = (
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
)

MAX_BYTES = 60_000
"""More than fits into one segment of a JPEG is not carried on."""

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


def edited_packet(original: bytes | None, keep_gps: bool) -> bytes:
    """Return the XMP packet of an edited picture: the photo's own, if it can be read, marked.

    Without keep_gps what EXIF's part says of the position is left out.
    """
    root = None if original is None else _parsed(original)
    if root is None:
        return FRESH_PACKET
    descriptions = root.findall(f".//{{{_RDF}}}RDF/{{{_RDF}}}Description")
    for description in descriptions:
        for name in [*description.keys()]:
            if _is_dropped(name, keep_gps):
                del description.attrib[name]
        for child in [*description]:
            if _is_dropped(child.tag, keep_gps):
                description.remove(child)
    descriptions[0].set(_SOURCE_TYPE, DIGITAL_SOURCE_TYPE)
    for prefix, uri in _PREFIXES.items():
        ET.register_namespace(prefix, uri)
    body = ET.tostring(root, encoding="unicode")
    written = f"{_BEGIN}\n{body}\n{_END}".encode()
    return FRESH_PACKET if len(written) > MAX_BYTES else written


def _parsed(packet: bytes) -> ET.Element | None:
    """Parse a packet that has the usual form; None for any other."""
    if len(packet) > MAX_BYTES or b"<!" in packet:  # no entities, which could grow without end
        return None
    try:
        root = ET.fromstring(packet.strip(b"\x00 \r\n\t"))
    except (ET.ParseError, ValueError, LookupError):
        return None
    if root.tag == f"{{{_RDF}}}RDF":
        wrapped = ET.Element(f"{{{_META}}}xmpmeta")
        wrapped.append(root)
        root = wrapped
    return root if root.find(f".//{{{_RDF}}}RDF/{{{_RDF}}}Description") is not None else None


def _is_dropped(name: str, keep_gps: bool) -> bool:
    return name in _OF_THE_OLD_PICTURE or (not keep_gps and name.startswith(f"{{{_EXIF}}}GPS"))
