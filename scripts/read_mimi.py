#!/usr/bin/env python3
"""Reads a .mimi file into a NumPy array, by core/FORMAT.md alone and checking all that it asks for.

OUT.npy is uint16 [levels, frames], or [streams, levels, frames] for more than one stream. Frames
that were lost are 65535. Exit code: 0 done, 1 failed, 2 wrong usage.
"""
import argparse
import os
import struct
import sys

import numpy as np

SIGNATURE = b"\x89MIMI\r\n\x1a\n"
SYNC = b"\xfeMR"
UNKNOWN = 2**64 - 1
MAX_SAMPLES = 2**53 - 1
MAX_FRAMES = 2**32 - 1
LOST = 65535


class FormatError(Exception):
    pass


def require(holds, message):
    if not holds:
        raise FormatError(message)


def require_equal(what, found, expected):
    require(found == expected, f"{what} is {found}, expected {expected}")


def crc32c_table():
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


CRC_TABLE = crc32c_table()


def crc32c(data, crc=0):
    """Extends the checksum `crc` of what came before."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def records(data):
    """Yields (type, offset, payload) of every record."""
    at = len(SIGNATURE)
    while at < len(data):
        require(at + 6 <= len(data), f"file ends within the record at byte {at}")
        require(data[at : at + 3] == SYNC, f"no record at byte {at}: found {data[at:at+3].hex(' ')}")
        end = at + 6 + int.from_bytes(data[at + 4 : at + 6], "little")
        require(end + 4 <= len(data), f"file ends within the record at byte {at}")
        stored = int.from_bytes(data[end : end + 4], "little")
        require(crc32c(data[at:end]) == stored, f"record at byte {at} is damaged: wrong checksum")
        yield chr(data[at + 3]), at, data[at + 6 : end]
        at = end + 4


class Header:
    FIXED = struct.Struct("<HHIHBBIBBBBIQIB")

    def __init__(self, payload):
        if len(payload) >= 2:
            version = int.from_bytes(payload[:2], "little")
            require(version == 1, f"file is of version {version}, this program reads version 1")
        require(len(payload) >= self.FIXED.size, "header is too short")
        (_, reserved, self.sample_rate_hz, self.frame_samples, self.levels, self.streams,
         self.codebook_size, self.bits, window, _, _, self.source_rate_hz, self.source_samples, _,
         name_bytes) = self.FIXED.unpack_from(payload)
        require(reserved == 0, "reserved bits are not zero")
        require(1 <= self.sample_rate_hz < 2**31, f"sample rate is {self.sample_rate_hz}")
        require(self.frame_samples >= 1, "frame size is 0")
        require(1 <= self.levels <= 64, f"level count is {self.levels}, expected 1 to 64")
        require(self.streams >= 1, "stream count is 0")
        require(2 <= self.codebook_size <= 65536, f"codebook size is {self.codebook_size}")
        require_equal("bits of a code", self.bits, (self.codebook_size - 1).bit_length())
        require(window <= 2, f"window rule is number {window}, expected 0 to 2")
        if self.source_samples != UNKNOWN:
            require(self.source_rate_hz != 0, "source has a sample count but no rate")
            require(self.source_samples <= MAX_SAMPLES, "source has too many samples")
        self.parse_texts(payload, name_bytes)

    def parse_texts(self, payload, name_bytes):
        at = self.FIXED.size

        def take(size):
            nonlocal at
            require(at + size <= len(payload), "header ends within its texts")
            at += size
            return payload[at - size : at]

        def number(size):
            return int.from_bytes(take(size), "little")

        texts = [take(name_bytes)]
        for _ in range(number(2)):
            key = take(number(1))
            require(len(key) >= 1, "key is empty")
            texts += [key, take(number(2))]
        require(at == len(payload), "bytes follow the last text")
        for text in texts:
            try:
                text.decode()
            except UnicodeDecodeError:
                raise FormatError(f"text {text[:100]!r} is not UTF-8") from None


class Reader:
    """Takes the records one after another and keeps what they have in common."""

    ENTRY = struct.Struct("<BBHIIIQ")

    def __init__(self, payload):
        self.header_payload = payload
        self.header = Header(payload)
        self.blocks = []  # [frames, streams, levels]
        self.phase = "content"
        self.segment = None  # the open one's (number, first frame, lead-in, source rate)
        self.padding = 0
        self.frames = self.next_block = self.segments = self.gaps = self.lost_frames = 0
        self.block_count = self.codes_crc = 0
        self.samples = self.source_samples = 0
        self.entries = []  # of the index, as they must be
        self.run_end = None
        self.index = []  # the index records' payloads
        self.index_offset = self.header_offset = None

    def take(self, kind, offset, payload):
        handlers = {"H": self.take_header, "S": self.take_segment, "B": self.take_block,
                    "G": self.take_gap, "E": self.take_segment_end, "I": self.take_index,
                    "T": self.take_totals}
        require(self.phase != "done", "bytes follow the end of the file")
        if self.phase == "totals":
            require(kind == "T", "stands between the second header and the totals")
        if "a" <= kind <= "z":
            return
        require(kind in handlers, "is not known to version 1 and must not be passed over")
        if kind in "SBGE":
            require(self.phase == "content", "comes after the index")
        handlers[kind](offset, payload)

    @staticmethod
    def unpack(layout, payload):
        fields = struct.Struct(layout)
        require_equal("size", len(payload), fields.size)
        return fields.unpack(payload)

    def take_segment(self, offset, payload):
        number, first_frame, _, lead_in, source_rate = self.unpack("<5I", payload)
        require(self.segment is None, "begins before the segment before it has ended")
        require_equal("number", number, self.segments)
        require_equal("first frame", first_frame, self.frames)
        if self.header.source_rate_hz != 0:
            require_equal("source rate", source_rate, self.header.source_rate_hz)
        self.segment = (number, first_frame, lead_in, source_rate)
        self.padding = 0
        self.segments += 1
        self.entries.append(["S", 0, number, 1, first_frame, offset])

    def add_frames(self, number, first_frame, frames, padding):
        require(self.segment is not None, "stands outside of a segment")
        require_equal("number", number, self.next_block)
        require_equal("first frame", first_frame, self.frames)
        require(self.padding == 0, "follows padding, which must be the end of a segment")
        require(padding < self.header.frame_samples, "padding is not less than a frame")
        self.frames += frames
        self.padding = padding
        require(self.frames <= MAX_FRAMES, f"file has more than {MAX_FRAMES} frames")

    def take_block(self, offset, payload):
        header = self.header
        require(len(payload) >= 14, f"has {len(payload)} bytes, expected at least 14")
        number, first_frame, padding, frames, levels, bits, streams = struct.unpack_from(
            "<IIHBBBB", payload)
        require_equal("level count", levels, header.levels)
        require_equal("bits of a code", bits, header.bits)
        require_equal("stream count", streams, header.streams)
        require(1 <= frames <= 125, f"frame count is {frames}, expected 1 to 125")
        count = frames * streams * levels
        require_equal("size", len(payload), 14 + (count * bits + 7) // 8)
        unpacked = np.unpackbits(np.frombuffer(payload, np.uint8, offset=14), bitorder="little")
        require(not unpacked[count * bits :].any(), "bits after the last code are not zero")
        weights = 1 << np.arange(bits, dtype=np.uint32)
        codes = unpacked[: count * bits].reshape(count, bits) @ weights
        require(codes.max() < header.codebook_size,
                f"code is {codes.max()}, expected less than {header.codebook_size}")
        self.add_frames(number, first_frame, frames, padding)
        self.blocks.append(codes.astype(np.uint16).reshape(frames, streams, levels))
        self.codes_crc = crc32c(codes.astype("<u2").tobytes(), self.codes_crc)
        self.next_block += 1
        self.block_count += 1
        last = self.entries[-1]
        if last[:2] == ["B", frames] and self.run_end == offset:
            last[3] += 1
        else:
            self.entries.append(["B", frames, number, 1, first_frame, offset])
        self.run_end = offset + 6 + len(payload) + 4

    def take_gap(self, offset, payload):
        first_block, blocks, first_frame, frames, padding, reserved = self.unpack("<4IHH", payload)
        require(reserved == 0, "reserved bits are not zero")
        require(1 <= blocks <= frames <= 125 * blocks,
                "loses a number of frames that its blocks cannot have held")
        self.add_frames(first_block, first_frame, frames, padding)
        shape = (frames, self.header.streams, self.header.levels)
        self.blocks.append(np.broadcast_to(np.uint16(LOST), shape))
        self.next_block += blocks
        self.gaps += 1
        self.lost_frames += frames
        self.entries.append(["G", 0, first_block, blocks, first_frame, offset])

    def take_segment_end(self, _, payload):
        number, frames, samples, source_samples = self.unpack("<IIQQ", payload)
        require(self.segment is not None, "stands where no segment has begun")
        expected_number, first_frame, lead_in, source_rate = self.segment
        require_equal("segment", number, expected_number)
        require_equal("frame count", frames, self.frames - first_frame)
        expected = frames * self.header.frame_samples - lead_in - self.padding
        require(expected >= 0, "segment has more lead-in and padding than frames")
        require_equal("sample count", samples, expected)
        require(source_rate != 0 or source_samples == 0,
                "segment has source samples but no source rate")
        self.samples += samples
        if self.header.source_rate_hz != 0:
            self.source_samples += source_samples
        require(max(source_samples, self.source_samples) <= MAX_SAMPLES,
                "source has too many samples")
        self.segment = None

    def take_index(self, offset, payload):
        require(self.segment is None, "comes before the segment has ended")
        require(len(payload) % 24 == 0 and 1 <= len(payload) // 24 <= 2048,
                f"index has {len(payload)} bytes, expected 1 to 2048 entries of 24")
        require(not self.index or len(self.index[-1]) == 2048 * 24,
                "index follows one that is not full")
        if self.phase == "content":
            self.index_offset = offset
        self.phase = "index"
        self.index.append(payload)

    def take_header(self, offset, payload):
        require(self.segment is None, "second header comes before the segment has ended")
        expected = b"".join(
            self.ENTRY.pack(ord(kind), frames, 0, *rest) for kind, frames, *rest in self.entries)
        require(b"".join(self.index) == expected, "index before it belongs to other records")
        require(payload == self.header_payload, "second header differs from the first")
        if self.phase == "content":
            self.index_offset = offset
        self.header_offset = offset
        self.phase = "totals"

    def take_totals(self, _, payload):
        require(self.phase == "totals", "totals do not follow the second header")
        names = ("frame count", "block count", "segment count", "gap count", "lost frame count",
                 "checksum of all codes", "sample count", "source sample count",
                 "offset of the index", "offset of the second header")
        found = self.unpack("<6I4Q", payload)
        expected = (self.frames, self.block_count, self.segments, self.gaps, self.lost_frames,
                    self.codes_crc, self.samples, self.source_samples, self.index_offset,
                    self.header_offset)
        for name, value, expected_value in zip(names, found, expected):
            require_equal(name, value, expected_value)
        if self.header.source_samples != UNKNOWN:
            require_equal("source sample count", self.source_samples, self.header.source_samples)
        self.phase = "done"

    def codes(self):
        header = self.header
        if not self.blocks:
            codes = np.empty((0, header.streams, header.levels), np.uint16)
        else:
            codes = np.concatenate(self.blocks)
        codes = np.ascontiguousarray(codes.transpose(1, 2, 0))
        return codes[0] if header.streams == 1 else codes


def read_mimi(data):
    """The codes of a whole file's bytes, and how many frames of them were lost."""
    require(data[: len(SIGNATURE)] == SIGNATURE,
            f"not a .mimi file: begins with {data[:len(SIGNATURE)]!r}")
    reader = None
    for kind, offset, payload in records(data):
        try:
            if reader is None:
                require(kind == "H", "expected the header")
                reader = Reader(payload)
            else:
                reader.take(kind, offset, payload)
        except FormatError as error:
            raise FormatError(f"record {kind!r} at byte {offset}: {error}") from None
    require(reader is not None and reader.phase == "done",
            f"file ends at byte {len(data)} without its totals: it was cut off there")
    return reader.codes(), reader.lost_frames


def write_npy(path, codes):
    """Writes beside the place and renames, so that the file is whole or not there."""
    part = f"{path}.{os.getpid()}.part"
    try:
        with open(part, "xb") as file:
            np.save(file, codes)
        os.replace(part, path)
    except BaseException as error:
        if os.path.exists(part):
            os.remove(part)
        if isinstance(error, OSError):
            error.filename = path
        raise


def main():
    parser = argparse.ArgumentParser(description="Turns a .mimi file into a NumPy array.")
    parser.add_argument("input", metavar="IN.mimi")
    parser.add_argument("output", metavar="OUT.npy",
                        help="uint16 [levels, frames], or [streams, levels, frames]")
    arguments = parser.parse_args()
    try:
        with open(arguments.input, "rb") as file:
            codes, lost_frames = read_mimi(file.read())
        write_npy(arguments.output, codes)
    except FormatError as error:
        sys.exit(f"read_mimi: {arguments.input}: {error}")
    except OSError as error:
        sys.exit(f"read_mimi: {error.filename}: {error.strerror}")
    except MemoryError:
        sys.exit(f"read_mimi: {arguments.input}: too long for this machine's memory")
    if lost_frames:
        print(f"read_mimi: {arguments.input}: {lost_frames} lost frames are {LOST}",
              file=sys.stderr)


if __name__ == "__main__":
    main()
