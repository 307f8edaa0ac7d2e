// The files of the embedded model, whose paths CMake gives as MIMI_WEIGHTS_FILE and
// MIMI_CONFIG_FILE. A compiler would take minutes over an array of this size.

    .section .rodata
    .balign 64

    .globl mimi_embedded_weights_begin
    .hidden mimi_embedded_weights_begin
    .type mimi_embedded_weights_begin, %object
mimi_embedded_weights_begin:
    .incbin MIMI_WEIGHTS_FILE
    .size mimi_embedded_weights_begin, . - mimi_embedded_weights_begin

    .globl mimi_embedded_weights_end
    .hidden mimi_embedded_weights_end
mimi_embedded_weights_end:

    .globl mimi_embedded_config_begin
    .hidden mimi_embedded_config_begin
    .type mimi_embedded_config_begin, %object
mimi_embedded_config_begin:
    .incbin MIMI_CONFIG_FILE
    .size mimi_embedded_config_begin, . - mimi_embedded_config_begin

    .globl mimi_embedded_config_end
    .hidden mimi_embedded_config_end
mimi_embedded_config_end:

    // Without this note a linker would make the program's stack executable.
    .section .note.GNU-stack, "", %progbits
