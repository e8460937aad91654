# embed_file(TARGET FILE NAME): compiles a file into TARGET as `const char NAME[]`, ended by a zero byte that
# `const unsigned long NAME_len` does not count. The assembler reads it, so any size costs nothing.
function(embed_file target file name)
    set(source ${CMAKE_BINARY_DIR}/embedded/${name}.c)
    file(WRITE ${source}.in
"__asm__(\".section .rodata\\n.global ${name}\\n${name}:\\n.incbin \\\"${CMAKE_SOURCE_DIR}/${file}\\\"\\n${name}_end:\\n\"
        \".byte 0\\n.balign 8\\n.global ${name}_len\\n${name}_len:\\n.quad ${name}_end - ${name}\\n.previous\\n\");
")
    configure_file(${source}.in ${source} COPYONLY)
    set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${CMAKE_SOURCE_DIR}/${file})
    target_sources(${target} PRIVATE ${source})
endfunction()
