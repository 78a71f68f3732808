.PHONY: test clean
test: tests
	@FATHOM_PROGRAM=$(BUILD)/fathom FATHOM_TEST_DATA=build/test-data FATHOM_TEST_MODEL=build/test-data/models/SmolLM2-135M-Instruct.Q4_1.gguf tests/run.sh $(BUILD)
clean:
	rm -rf build
