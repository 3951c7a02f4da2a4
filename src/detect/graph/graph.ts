/**
 * An ONNX model without weights, and the weights it names: what an inference session is made from. The session has
 * copies of its own: once it is open, the weights may go.
 */
export interface Graph {
  readonly model: Uint8Array
  /** `path` is a label that the model's initializers name, never a file. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array }[]
}

/**
 * In what a host's layers multiply. `int8`: matrices that are stored in 8 bits stay so, and what they multiply is cut to
 * 8 bits on its way, token by token: less than half the time and a quarter of the memory on a CPU that multiplies 8-bit
 * integers exactly (`buildInt8Probe` tells), and about as far from the host that was trained as its cut matrices
 * themselves. `f32`: for any other CPU, and for GPUs.
 */
export type Arithmetic = 'f32' | 'int8'
