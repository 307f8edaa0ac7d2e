// The files of the embedded model, whose paths CMake gives as MIMI_WEIGHTS_FILE and
// MIMI_CONFIG_FILE. A compiler would take minutes over an array of this size.

    .section .rodata
    .balign 64

    .globl kMimiEmbeddedWeightsBegin
    .hidden kMimiEmbeddedWeightsBegin
    .type kMimiEmbeddedWeightsBegin, %object
kMimiEmbeddedWeightsBegin:
    .incbin MIMI_WEIGHTS_FILE
    .size kMimiEmbeddedWeightsBegin, . - kMimiEmbeddedWeightsBegin

    .globl kMimiEmbeddedWeightsEnd
    .hidden kMimiEmbeddedWeightsEnd
kMimiEmbeddedWeightsEnd:

    .globl kMimiEmbeddedConfigBegin
    .hidden kMimiEmbeddedConfigBegin
    .type kMimiEmbeddedConfigBegin, %object
kMimiEmbeddedConfigBegin:
    .incbin MIMI_CONFIG_FILE
    .size kMimiEmbeddedConfigBegin, . - kMimiEmbeddedConfigBegin

    .globl kMimiEmbeddedConfigEnd
    .hidden kMimiEmbeddedConfigEnd
kMimiEmbeddedConfigEnd:

    // Without this note a linker would make the program's stack executable.
    .section .note.GNU-stack, "", %progbits
