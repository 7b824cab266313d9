/* The model image, unchanged, in flash. */
    .section .rodata.model, "a"
    .balign 16
    .global model_image, model_image_end
    .type model_image, %object
model_image:
    .incbin MODEL_IMAGE
model_image_end:
    .size model_image, . - model_image
