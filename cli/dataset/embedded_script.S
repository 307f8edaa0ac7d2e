// The text of scripts/to_parquet.py, whose path CMake gives as MIMI_TO_PARQUET_FILE.

    .section .rodata

    .globl kMimiToParquetBegin
    .hidden kMimiToParquetBegin
    .type kMimiToParquetBegin, %object
kMimiToParquetBegin:
    .incbin MIMI_TO_PARQUET_FILE
    .size kMimiToParquetBegin, . - kMimiToParquetBegin

    .globl kMimiToParquetEnd
    .hidden kMimiToParquetEnd
kMimiToParquetEnd:

    // Without this note a linker would make the program's stack executable.
    .section .note.GNU-stack, "", %progbits
