/** An ONNX model without weights, and the weights it names: what an inference session is made from. */
export interface Graph {
  readonly model: Uint8Array
  /** `path` is a label that the model's initializers name, never a file. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array }[]
}
