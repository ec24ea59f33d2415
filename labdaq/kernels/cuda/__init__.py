"""The kernels that pay on a GPU, in CUDA C; each has the name of the one for the processor, which chooses it.

`packing`     few-bit integers: unpack, quantise
`detection`   powers, products of polarisations, means of frames
`spectra`     polyphase filter bank, dedispersion
`pulses`      pulse heights, histograms

One thread of the GPU makes one output, or a few that lie together, and threads share nothing: the body of a kernel is
a scalar function of the number of its thread. So the same source is C as well, which tests compile and run without a
GPU, thread after thread. Beams and visibilities are products of matrices, for which CuPy asks cuBLAS, and need no
source here; Fourier transforms are those of cuFFT.
"""
